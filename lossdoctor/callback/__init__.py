"""Log during a transformers training what a diagnosis needs afterwards.

    from lossdoctor.callback import monitor

    trainer = Trainer(...)
    monitor(trainer)
    trainer.train()

The Trainer logs loss, learning rate and gradient norm by itself. `monitor` adds to the same rows, so that trainer_state.json, TensorBoard
and WandB hold them without further work: time and data wait of a step, throughput, the losses that the Trainer's NaN filter hides, skipped
steps, the loss scale, GPU memory and utilisation of every rank. Beside them it keeps a log of which samples each step read.

Nothing of it is needed by `lossdoctor analyze`, and importing this module imports neither torch nor transformers.
"""

from lossdoctor.callback.batches import Batch, read_batches
from lossdoctor.callback.monitor import Monitor, monitor

__all__ = ["Batch", "Monitor", "monitor", "read_batches"]
