"""The migration page: every command line of the old scripts that it calls the same is accepted."""

from __future__ import annotations

import pytest

import zoolib
from zoolib.cli import _wanted
from zoolib.cli_options import train_parser

LINES = {
    "realmix": {
        "--preset seed --dataset cifar10.1@250-500": dict(
            split_seed=1, labels=250, validation=500, iterations=700 * 1024, tsa="linear_schedule"
        ),
        "--wd 0.02 --ema 0.999 --beta 0.75 --filters 32 --repeat 4 --batch 64 --lr 0.002 "
        "--scales 0 --w_match 75 --percent_mask 0.25 --tsa linear_schedule --nclass 10": dict(
            weight_decay=0.02, ema_decay=0.999, mixup_beta=0.75, mask_fraction=0.25, batch_size=64
        ),
        "--batch 64 --epochs 700 --nu 2": dict(iterations=700 * 1024),
        "--batch 64 --train_kimg 65536 --report_kimg 64 --save_kimg 64": dict(
            iterations=2**20, eval_every=1024, checkpoint_every=1024
        ),
        "--preset seed --augment cutout+cifar10": dict(augment="cutout+cifar10"),
        "--train_dir a --keep_ckpt 50 --memoize True --para_parse 4 --para_augment 4 "
        "--shuffle 8192 --custom_dataset True --img_size 32 --p_unlabeled 1 --epochs_ctrl 0 "
        "--steps_ctrl 2": {},
    },
    "am3": {
        "--preset paper --data_path here": dict(data_dir="here", lr=0.1, weight_decay=0.0005),
        "--preset paper --train_steps 300": dict(iterations=300),
        "--preset paper --number_of_steps 300": dict(iterations=300),
        "--preset paper --num_classes_train 5 --num_shots_train 1 --train_batch_size 24 "
        "--num_tasks_per_batch 5 --num_classes_test 4 --num_shots_test 2 --eval_batch_size 20 "
        "--num_cases_test 4000": dict(
            ways=5, shots=1, queries=24, tasks=5, eval_ways=4, eval_shots=2, eval_episodes=200
        ),
        "--preset seed": dict(lr=1e-3, lr_decay="cosine", weight_decay=1e-4, label_smoothing=0.1),
        "--init_learning_rate 0.1 --lr_anneal pwc --num_steps_decay_pwc 2500": dict(
            lr=0.1, lr_decay="piecewise", lr_drop_every=2500
        ),
        "--variant am3-tadam --metric_multiplier_init 5 --feat_extract_pretrain multitask "
        "--num_classes_pretrain 64": dict(scale=5.0, aux=True, aux_classes=64),
        "--variant am3-tadam --mlp_dropout 0.7 --mlp_weight_decay 0.001 --att_dropout 0.6 "
        "--att_weight_decay 0.002": dict(
            g_dropout=0.7, h_dropout=0.6, g_weight_decay=0.001, h_weight_decay=0.002
        ),
        "--att_input word --task_encoder self_att_mlp": dict(att_input="word", mixing="adaptive"),
        "--ten_at_eval False": dict(ten_at_eval=False),
    },
}


@pytest.mark.parametrize(
    ("model", "line"), [(model, line) for model, lines in LINES.items() for line in lines]
)
def test_old_command_lines_are_understood(model, line):
    spec = zoolib.get_model(model)
    config, resumed = _wanted(spec, train_parser(spec).parse_args(line.split()))
    assert resumed is None
    for name, value in LINES[model][line].items():
        assert getattr(config, name) == value, name
