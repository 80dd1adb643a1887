"""XLA flags of the suite. XLA ends the process at a flag that it does not know, so each is given to those that do."""

import importlib.metadata

JAXLIB = tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2]))

# Compiling is most of the suite: these cut it to a third. They change the code that XLA makes, and no rule.
QUICK = [
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_parallel_codegen_split_count=1",
    *(["--xla_cpu_use_fusion_emitters=false"] if JAXLIB < (0, 11) else []),
]
FLAGS = ["--xla_force_host_platform_device_count=8", "--xla_cpu_multi_thread_eigen=false", *QUICK]
