#!/bin/sh
# The state of a PBS job as Snakemake wants it: running, success or failed. A job that the queue does not know any more
# has failed: its files are looked at before it is sent again.
state=$(qstat -x -f "$1" 2>/dev/null | sed -n 's/^ *job_state = //p')
code=$(qstat -x -f "$1" 2>/dev/null | sed -n 's/^ *Exit_status = //p')
case $state in
  Q | R | H | W | T | B | S | E) echo running ;;
  F | C) if [ "$code" = 0 ]; then echo success; else echo failed; fi ;;
  *) echo failed ;;
esac
