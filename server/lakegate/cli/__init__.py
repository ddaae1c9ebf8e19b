"""The command `lakegate`: arguments in, words out, nothing else."""
