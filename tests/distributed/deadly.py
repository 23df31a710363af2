"""A featurizer that takes its time, and with it its process, where the environment says so."""

import os
import signal
import time
from pathlib import Path

from skmol3d import ECFPFeaturizer


class Deadly(ECFPFeaturizer):
    """Sleeps SLOW seconds; kills its process at a molecule with phosphorus while there is a file LIVES."""

    def _compute(self, inputs, rows, advance):
        time.sleep(float(os.environ.get("SLOW", 0)))
        lives = Path(os.environ.get("LIVES", "none"))
        if lives.exists() and any("P" in str(value) for value in inputs):
            if left := lives.read_text()[1:]:
                lives.write_text(left)
            else:
                lives.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._compute(inputs, rows, advance)
