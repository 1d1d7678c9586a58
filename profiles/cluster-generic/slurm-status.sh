#!/bin/sh
# The state of a SLURM job as Snakemake wants it: running, success or failed. A preempted job that SLURM does not send
# again has failed: it is submitted anew and goes on from its last save.
state=$(squeue --noheader --format=%T --jobs="$1" 2>/dev/null | head -n 1)
[ -n "$state" ] || state=$(sacct --noheader --parsable2 --allocations --format=State --jobs="$1" 2>/dev/null | tail -n 1)
case $state in
  PENDING | CONFIGURING | RUNNING | COMPLETING | SUSPENDED | STOPPED | SIGNALING | STAGE_OUT | RE[QS]*) echo running ;;
  COMPLETED) echo success ;;
  *) echo failed ;;
esac
