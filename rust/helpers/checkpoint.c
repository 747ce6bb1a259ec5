// SPDX-License-Identifier: GPL-2.0

#include "../../kernel/checkpoint/checkpoint.h"

#include "checkpoint_attributes.c"
#include "checkpoint_cgroup.c"
#include "checkpoint_cred.c"
#include "checkpoint_files.c"
#include "checkpoint_hugetlb.c"
#include "checkpoint_fs.c"
#include "checkpoint_ipc.c"
#include "checkpoint_jobctl.c"
#include "checkpoint_locks.c"
#include "checkpoint_mm.c"
#include "checkpoint_pidfd.c"
#include "checkpoint_pidns.c"
#include "checkpoint_posix_timer.c"
#include "checkpoint_ptrace.c"
#include "checkpoint_socket.c"
#include "checkpoint_stream.c"
#include "checkpoint_timer.c"
#include "checkpoint_signal.c"
#include "checkpoint_task.c"
#include "checkpoint_time.c"
#include "checkpoint_timens.c"
#include "checkpoint_user_ns.c"
#ifdef CONFIG_X86
#include "checkpoint_x86.c"
#endif
