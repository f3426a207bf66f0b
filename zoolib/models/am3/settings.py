"""Settings of tasks and training; what is about the network stands in `config`."""

from __future__ import annotations

import dataclasses

from zoolib.core.config import Config, setting

VARIANTS = ("protonet++", "am3-protonet++", "tadam", "am3-tadam")


@dataclasses.dataclass(frozen=True)
class TrainingSettings(Config):
    """What tasks a learner sees, and how it is trained on them."""

    iterations: int = setting(
        30_000,
        "Training steps.",
        unit="steps",
        low=1,
        high=10**9,
        aliases=("train_steps", "number_of_steps"),
    )
    variant: str = setting(
        "am3-protonet++",
        "Which learner: prototypes alone, with words, with task conditioning, with both.",
        choices=VARIANTS,
    )
    eval_every_late: int = setting(
        0,
        "Steps between evaluations in the second half; 0: as in the first.",
        unit="steps",
        low=0,
        aliases=("eval_interval_fine_steps",),
        advanced=True,
    )

    # ---- data and episodes
    datasource: str = setting(
        "attrshapes",
        "attrshapes: generated pictures whose names say what is on them; npz: files in data_dir.",
        choices=("attrshapes", "npz"),
    )
    data_dir: str = setting(
        "data/mini-imagenet",
        "Folder of the npz files.",
        aliases=("data_path",),
    )
    word_file: str = setting(
        "none",
        "Word vectors (text) for names that are typed in at prediction.",
        advanced=True,
    )
    image_size: int = setting(
        32, "Height and width of the pictures.", unit="pixels", low=1, high=1024
    )
    per_class: int = setting(
        40, "Pictures of each class (attrshapes).", unit="images", low=2, high=10_000, advanced=True
    )
    augment: str = setting(
        "none",
        "Training pictures: as they are, mirrored and shifted, or shifted diagonally only as in "
        "the earlier code.",
        choices=("none", "shift", "diagonal"),
        advanced=True,
    )
    ways: int = setting(
        5, "Classes of a task.", low=2, high=1000, aliases=("num_classes_train", "num_classes")
    )
    shots: int = setting(
        1, "Support images per class.", low=1, high=1000, aliases=("num_shots_train", "num_shots")
    )
    queries: int = setting(
        24,
        "Query images of a task, all classes together.",
        low=1,
        high=10_000,
        aliases=("train_batch_size", "batch_size"),
    )
    tasks: int = setting(5, "Tasks in a step.", low=1, high=1000, aliases=("num_tasks_per_batch",))
    balanced: bool = setting(
        False, "As many training queries of each class, instead of drawn from all.", advanced=True
    )
    eval_ways: int = setting(
        5, "Classes of a test task.", low=2, high=1000, aliases=("num_classes_test",)
    )
    eval_shots: int = setting(
        0,
        "Support images per class in testing; 0: as in training.",
        low=0,
        high=1000,
        aliases=("num_shots_test",),
    )
    eval_queries: int = setting(
        100, "Query images of a test task.", low=1, high=10_000, aliases=("eval_batch_size",)
    )
    eval_episodes: int = setting(1000, "Test tasks.", unit="tasks", low=2, high=10**6)
    eval_balanced: bool = setting(
        False, "As many test queries of each class, instead of drawn from all.", advanced=True
    )
    eval_seed: int = setting(
        1,
        "Seed of the test tasks; the same tasks for every variant and seed.",
        low=0,
        high=2**31 - 1,
        advanced=True,
    )

    # ---- optimisation
    optimizer: str = setting(
        "sgd",
        "Of the main loss; the auxiliary one has SGD.",
        choices=("sgd", "adam"),
        advanced=True,
    )
    lr: float = setting(
        0.1,
        "Step size at the start.",
        low=0.0,
        high=1e3,
        aliases=("init_learning_rate", "learning_rate"),
    )
    lr_decay: str = setting(
        "piecewise",
        "Course of lr: tenths from half-time on, half a cosine wave, constant, or a staircase.",
        choices=("piecewise", "cosine", "constant", "exponential"),
        aliases=("lr_anneal", "lr_scheduler"),
    )
    lr_drop_every: int = setting(
        2500,
        "Steps between the later drops of lr (piecewise).",
        unit="steps",
        low=1,
        aliases=("num_steps_decay_pwc",),
        advanced=True,
    )
    lr_drops: int = setting(
        3,
        "Drops of lr in a run (exponential).",
        low=1,
        high=1000,
        aliases=("n_lr_decay",),
        advanced=True,
    )
    lr_drop: float = setting(
        10.0,
        "What lr is divided by (exponential).",
        low=1.0,
        high=1e6,
        aliases=("lr_decay_rate",),
        advanced=True,
    )
    momentum: float = setting(0.9, "Momentum of SGD.", low=0.0, high=0.999, advanced=True)
    clip: float = setting(
        1.0,
        "Longest gradient of each variable; 0: no limit.",
        low=0.0,
        high=1e6,
        aliases=("clip_gradient_norm",),
        advanced=True,
    )
    weight_decay: float = setting(
        0.0005, "L2 penalty on the kernels of backbone and conditioning.", low=0.0, high=1.0
    )
    ten_weight_decay: float = setting(
        0.01,
        "L2 penalty on the scalars of the conditioning.",
        low=0.0,
        high=1.0,
        aliases=("weight_decay_cbn",),
        advanced=True,
    )
    g_weight_decay: float = setting(0.0, "L2 penalty on the kernels of g.", low=0.0, high=1.0)
    h_weight_decay: float = setting(
        0.0, "L2 penalty on the kernels of h.", low=0.0, high=1.0, aliases=("att_weight_decay",)
    )
    label_smoothing: float = setting(
        0.0,
        "Share of a label's probability spread over the ways.",
        low=0.0,
        high=0.99,
        advanced=True,
    )
    loss_scale: str = setting(
        "none",
        "Scaling of the loss for half precision.",
        choices=("none", "static", "dynamic"),
        advanced=True,
    )
    loss_scale_value: float = setting(
        1024.0, "Static scale, or the first dynamic one.", low=1.0, high=2.0**24, advanced=True
    )
