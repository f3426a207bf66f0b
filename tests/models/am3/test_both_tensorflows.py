"""The same seed gives the same losses and the same steps on TensorFlow 2.6.5 and on current one.

The first test goes on by itself for 20 steps, at a fiftieth of the usual step size: at that of the
preset rounding grows until the digits part. It is large enough for updates to show in the losses.
In the second, at the preset's step size, every one of 20 steps starts from a prescribed state, and
what it changes is compared, and the loss behind it.
"""

from __future__ import annotations

import numpy as np
import pytest

# `python -m pytest -s -k twenty_steps` prints what a TensorFlow gives; `steps_agree` tells columns.
GOLDEN = {
    "am3-protonet++": [
        2.0080292,
        1.5831261,
        1.8773099,
        1.8567475,
        1.7340978,
        1.5946472,
        1.7133116,
        1.8300612,
        1.6271645,
        1.833759,
        1.6432903,
        1.8125354,
        1.7887424,
        1.719162,
        1.7384542,
        1.6687965,
        1.8359538,
        1.8760028,
        1.789197,
        1.9092755,
    ],
    "am3-tadam": [
        13.294329,
        6.3346143,
        13.84181,
        11.203855,
        9.6418858,
        9.2152271,
        8.3633051,
        7.650135,
        8.2724295,
        10.259159,
        7.8803849,
        10.955871,
        9.6088991,
        8.8226213,
        9.0729189,
        7.5913954,
        9.4235897,
        8.7607164,
        9.2901688,
        6.6607981,
    ],
}


STEPS = {
    "am3-protonet++": """
1.931437 1.412854 0.724197 0.06024609 185.4898 1.00378
1.770492 1.238713 0.7121472 1.307986 178.8217 1.240659
2.279893 1.68103 0.7186575 0.7783255 182.3343 0.984727
2.070792 1.577622 0.7236276 1.111595 207.7415 1.070896
2.183349 1.776222 0.7244265 1.215714 247.8754 1.072718
2.259442 1.798238 0.7210607 1.401939 227.1135 1.070637
1.767292 1.67174 0.7099154 1.209735 239.6551 1.114905
2.204143 1.784441 0.7227737 1.047649 254.515 1.151953
2.070454 1.399482 0.7194457 1.333602 317.5843 1.314577
2.041219 1.61243 0.7191614 0.8946885 359.7202 1.412089
2.021816 1.566846 0.7124993 1.975292 389.5129 1.454012
2.444569 1.715265 0.7216319 1.311299 502.1705 1.759745
2.208207 1.554547 0.7228468 0.9679763 411.6326 1.50363
2.059778 1.764616 0.7170439 0.4048395 481.2815 1.505689
2.177867 1.593985 0.7143302 0.5211774 527.205 1.88769
2.03251 1.632609 0.7188528 1.949748 579.1149 1.50474
2.384503 1.691641 0.7267069 0.9720745 599.2838 1.585566
2.028912 1.560751 0.7098953 2.154352 679.3466 1.925317
2.336756 1.709146 0.7139377 1.156123 711.3304 1.614046
2.02526 1.59167 0.7119521 0.8345647 849.7055 1.605857
""",
    "am3-tadam": """
16.77734 8.199472 0.8106413 -1.026799 341.2652 1.033797
11.33072 7.602961 0.876107 -0.4726904 387.4874 1.374815
21.48905 8.558825 0.8074761 -1.46259 356.7758 1.047898
12.53031 10.95752 0.9004038 -0.07300748 448.0821 1.132526
17.73653 14.92416 0.8803696 -0.2792159 513.3495 1.164294
19.59505 17.97965 0.8903548 -1.198215 468.4754 1.234036
13.22132 7.427 0.8069685 -1.044698 449.7905 1.188592
19.81063 10.61331 0.8179009 0.5084922 499.8739 1.223187
16.93443 11.64569 0.8885108 -1.535324 624.7904 1.254822
15.85417 7.126244 0.8165933 0.4593801 687.3673 1.284249
16.68209 12.84084 0.8960046 -0.3235639 695.6433 1.223051
25.33854 13.02295 0.8147607 0.6367133 899.5378 1.473242
19.16314 9.605561 0.8092392 0.4750175 750.0236 1.264
18.88779 14.79777 0.8218443 -0.3709553 891.1093 1.14648
21.8416 13.33813 0.8258383 0.3071195 1002.352 1.55474
15.47171 9.850054 0.885969 0.5073421 1102.901 1.08318
18.54547 12.49002 0.9031328 -0.3771106 1134.959 1.184464
15.88443 8.2782 0.9249486 -0.6654308 1341.867 1.609556
22.32492 11.96918 0.8306968 0.06543915 1354.128 1.166351
15.6161 12.25883 0.8163035 -1.029068 1616.017 1.259181
""",
}


@pytest.fixture(scope="module", params=GOLDEN)
def started(request, built):
    """A variant, its task and its loop."""
    own = {"aux": True, "aux_batch": 16, "blocks": 2} if request.param.endswith("tadam") else {}
    task = built(variant=request.param, lr_decay="constant", h_dropout=0.5, **own)
    return request.param, task, task.session.loop(task.train_step, task.terms, False, 1)


def test_losses_of_twenty_steps_agree_to_five_digits(started):
    variant, task, loop = started
    start = {name: v.numpy() for name, v in task.state().items()}
    losses = []
    for step in range(20):
        at = range(step, step + 1)
        batch = {**task.batch(at), "lr": np.full(1, 0.002, np.float32)}
        losses.append(float(loop(batch, task.draws(at), 1)["loss"][0]))
    for name, v in task.state().items():
        v.assign(start[name])
    print(variant, [float(f"{loss:.8g}") for loss in losses])
    np.testing.assert_allclose(losses, GOLDEN[variant], rtol=1e-5)


def test_updates_of_twenty_steps_agree(started, steps_agree):
    variant, task, loop = started
    assert task.batch(range(1))["lr"] == np.float32(0.1), "the preset's own"
    # The gates of g and h and the maxima of the pooling have kinks; shifts of 1 keep them away.
    steps_agree(task, loop, STEPS[variant], gradient=0.03, lift=1.0)
