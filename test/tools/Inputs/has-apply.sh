#!/bin/sh
# "Fails" (status 1) where the file still has what is looked for.
! grep -q rope.apply "$1"
