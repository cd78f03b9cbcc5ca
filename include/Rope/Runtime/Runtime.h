/*===- Runtime.h - what compiled code calls -----------------------*- C -*-===*\
|*                                                                            *|
|* Part of rope-mlir, under the Apache License v2.0 with LLVM Exceptions.     *|
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception                    *|
|*                                                                            *|
|*===----------------------------------------------------------------------===*|
|*                                                                            *|
|* Threads and scratch memory of compiled loops. Compiled code calls          *|
|* rope_parallel_for and nothing else; it comes from                          *|
|*  - libRope.so for code that is compiled in memory,                         *|
|*  - the library itself for a shared library made by rope-compile,           *|
|*  - librope-runtime.a for an object file, or a definition of your own.      *|
|*                                                                            *|
|* Every function here may be called by any thread at any time.               *|
|*                                                                            *|
\*===----------------------------------------------------------------------===*/

#ifndef ROPE_RUNTIME_RUNTIME_H
#define ROPE_RUNTIME_RUNTIME_H

#include <stdint.h>

/* NOLINTBEGIN(readability-identifier-naming): C names. */

#ifdef __cplusplus
extern "C" {
#endif

/** One task of a loop. `workspace` is memory that no other running task has. */
typedef void (*rope_task_fn)(void *context, int64_t task, void *workspace);

/** What runs the tasks of a loop, as rope_parallel_for does. */
typedef void (*rope_parallel_for_fn)(rope_task_fn body, void *context,
                                     int64_t tasks, int64_t workspace_bytes);

/**
 * Runs `body` once for each task from 0 to `tasks` - 1, in any order, and
 * returns after the last one. Each running task has a workspace of
 * `workspace_bytes`, aligned to 64 bytes, whose content is undefined; it is
 * null where no bytes are asked for. Workspaces are kept from call to call.
 *
 * The calling thread takes part. The others are started by the first call that
 * has more than one task, and stay bound to one processor each, within the
 * process's affinity mask. They wait actively for some 50 microseconds after a
 * call, then sleep. A call from inside a task, and one that comes while another
 * thread's call is running, runs its tasks on the calling thread alone.
 *
 * A forked child has no threads but its own: its first call starts others.
 * Where another thread was inside a call during the fork, all calls of the
 * child run on the calling thread alone.
 *
 * Ends the program with a message where no memory is left for a workspace.
 */
void rope_parallel_for(rope_task_fn body, void *context, int64_t tasks,
                       int64_t workspace_bytes);

/**
 * Lets `run` execute all later calls of rope_parallel_for, so that the threads
 * of the surrounding program are used and none are started here. `run` also
 * provides the workspaces. Null goes back to the own threads.
 *
 * This is the way to replace the runtime inside a shared library. An object
 * file may as well be linked with another definition of rope_parallel_for in
 * place of librope-runtime.a.
 */
void rope_set_parallel_for(rope_parallel_for_fn run);

/**
 * Sets the number of threads of later calls, the calling one included, at most
 * 4096. 0 or less goes back to the default: the environment variable
 * ROPE_NUM_THREADS, or else the number of processors in the process's affinity
 * mask. More threads than processors are not bound to processors.
 */
void rope_set_num_threads(int64_t threads);

/** The number of threads of the next call, the calling one included. */
int64_t rope_get_num_threads(void);

#ifdef __cplusplus
}
#endif

/* NOLINTEND(readability-identifier-naming) */

#endif /* ROPE_RUNTIME_RUNTIME_H */
