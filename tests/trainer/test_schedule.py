"""How long a run is and how fast it learns."""

import pytest

from skmol3d.trainer.schedule import Schedule


def test_schedule_by_steps():
    schedule = Schedule(steps=1000, learning_rate=0.1, warmup=10)
    assert schedule.rate(0, 0.0) == pytest.approx(0.01, rel=1e-3)
    assert schedule.rate(4, 0.0) == pytest.approx(0.05, rel=1e-3)
    assert schedule.rate(500, 0.0) == pytest.approx(0.1 * (0.01 + 0.99 / 2))
    assert schedule.rate(1000, 0.0) == pytest.approx(0.001)
    rates = [schedule.rate(s, 0.0) for s in range(10, 1000)]
    assert rates == sorted(rates, reverse=True)
    assert schedule.progress(250, 1e9) == 0.25


def test_schedule_by_the_clock():
    schedule = Schedule(steps=1000, minutes=2, learning_rate=0.1, warmup=10)
    assert schedule.progress(10, 60.0) == 0.5
    assert schedule.progress(900, 60.0) == 0.9
    assert schedule.rate(20, 60.0) == pytest.approx(0.1 * (0.01 + 0.99 / 2))
    assert schedule.rate(20, 500.0) == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be positive, got 0"),
        ({"steps": 5, "warmup": 0}, "warmup must be positive"),
        ({"steps": 5, "minutes": 0}, "minutes must be positive or absent"),
        ({"steps": 5, "ema": 1.0}, "0 <= ema < 1"),
        ({"steps": 5, "weight_decay": -1.0}, "weight_decay >= 0"),
    ],
)
def test_schedule_refusals(settings, message):
    with pytest.raises(ValueError, match=message):
        Schedule(**settings)
