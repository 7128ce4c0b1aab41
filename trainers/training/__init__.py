"""The training binaries: `pretrain`, `prune`, `finetune`, `pipeline`."""
