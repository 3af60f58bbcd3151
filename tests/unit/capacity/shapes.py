"""Shapes of public models, as `config.read` returns them for the configs in models/, and a training."""

from typing import Any

from longwriter.capacity.memory import Layout, Training
from longwriter.capacity.shape import Shape

LLAMA = Shape("llama", 8_030_261_248, 525_336_576, 2_621_440, 128256, 4096, 32, 32, 8, 128, 14336, 131072)
QWEN = Shape("qwen2", 7_615_616_512, 544_997_376, 2_523_136, 152064, 3584, 28, 28, 4, 128, 18944, 131072)
GLM = Shape("glm", 9_399_951_360, 620_756_992, 2_974_720, 151552, 4096, 40, 32, 2, 128, 13696, 8192)
SMOLLM2 = Shape("llama", 134_515_008, 0, 305_280, 49152, 576, 30, 9, 3, 64, 1536, 8192)
LLAMA_1B = Shape(
    "llama", 1_235_814_400, 0, 704_512, 128256, 2048, 16, 32, 8, 64, 8192, 32768
)  # of gpu_check.py
WIDE = Shape(
    "llama", 39_330_304, 8_388_608, 0, 16384, 512, 8, 8, 2, 64, 1408, 8192
)  # of infra/bench/capacity.py


def training(layout: Layout, **changes: Any) -> Training:
    """Return a training in bf16 on one GPU, with these changes."""
    base = Training("cuda", 1, layout, 2, False, "fused", 1024)
    return base._replace(**changes)
