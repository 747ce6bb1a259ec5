// SPDX-License-Identifier: GPL-2.0

//! Namespaces of a container.
//!
//! Kept: the pid, UTS and IPC namespaces that the root of the tree has for itself; the UTS
//! namespaces of other tasks. The clocks CLOCK_MONOTONIC and CLOCK_BOOTTIME of a container, which go
//! on from where they were when it was frozen: it gets a time namespace of its own. The user
//! namespace to which these belong.
//! Not kept: mount, network and cgroup namespaces, and the time namespace of a subtree, which
//! must be those of the caller; IPC and time namespaces that the tasks of the tree do not share;
//! namespaces of the root that belong to several user namespaces.
//! These are refused. Nested pid namespaces are kept by `pids`, user namespaces by `user_ns`.

use crate::error::Error;
use crate::error::Result;
use crate::format::namespace::IpcNs;
use crate::format::namespace::Namespaces;
use crate::format::namespace::PidNs;
use crate::format::namespace::TimeNs;
use crate::format::namespace::UserNs as UserNsState;
use crate::format::namespace::UtsNs;
use crate::format::task::Task;
use crate::format::ObjRef;
use crate::format::Record;
use crate::image::RawRecord;
use crate::ipc;
use crate::object::Class;
use crate::plan::KindOf;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::freeze::Frozen;
use crate::sys::ns::Entered;
use crate::sys::task::TaskRef;
use crate::sys::user_ns::UserNs;
use crate::task::user_ns;
use kernel::prelude::*;

/// Saves the namespaces of a task, all of which must be those of the root, but for that of UTS.
pub(super) fn save(saver: &mut Saver<'_>, task: &Frozen) -> Result<ObjRef> {
    let proxy = sys::ns::proxy(task)?;
    let (inside, outside) = (saver.inside, saver.outside);
    let is_container = !saver.ns.is(&sys::ns::PidNs::current()?);
    // A container has clocks of its own once it has been restarted.
    let time = if is_container {
        proxy.time
    } else {
        outside.time
    };
    let shared = [
        (proxy.mnt, outside.mnt, "mount"),
        (proxy.net, outside.net, "network"),
        (proxy.time, time, "time"),
        (proxy.cgroup, outside.cgroup, "cgroup"),
    ];

    for (has, caller, name) in shared {
        if has != caller {
            return Err(saver.refuse(fmt!(
                "is in another {name} namespace than the caller, which is not supported"
            )));
        }
    }
    if proxy.time != proxy.time_for_children {
        return Err(saver.refuse(fmt!(
            "has another time namespace for its children, which is not supported"
        )));
    }
    // Pid namespaces are for `pids`.
    let others = sys::ns::Proxy {
        pid_for_children: inside.pid_for_children,
        uts: inside.uts,
        ..proxy
    };
    // After a restart the caller is another one.
    let has_left = proxy.uts == outside.uts && inside.uts != outside.uts;

    if others != inside || has_left {
        return Err(saver.refuse(fmt!(
            "is in other namespaces than the root of the tree, which is not supported"
        )));
    }
    // Only the UTS namespace tells two records apart.
    if let Some(number) = saver.objects.refer(Class::Namespaces, proxy.uts) {
        return Ok(number);
    }
    let uts = if proxy.uts == outside.uts {
        ObjRef::NONE
    } else {
        save_uts(saver, task)?
    };
    // The root comes first.
    let state = match saver.namespaces {
        Some(of_root) => Namespaces { uts, ..of_root },
        None => save_others(saver, task, uts, is_container)?,
    };
    let number = saver.out.object(&state, &[])?;

    saver.namespaces = Some(state);
    saver.objects.insert(Class::Namespaces, proxy.uts, number)?;
    Ok(number)
}

/// Saves the namespaces of the root other than that of UTS.
fn save_others(
    saver: &mut Saver<'_>,
    task: &Frozen,
    uts: ObjRef,
    is_container: bool,
) -> Result<Namespaces> {
    let ipc = if saver.inside.ipc == saver.outside.ipc {
        ObjRef::NONE
    } else {
        ipc::save(saver, task)?
    };
    let owner = owner_of_root(saver, task, uts, ipc, is_container)?;
    let pid = if is_container {
        let state = PidNs {
            last_pid: saver.ns.last_pid(),
            parent: ObjRef::NONE,
            user_ns: user_ns::save(saver, owner)?,
            reserved: 0,
        };

        saver.out.object(&state, &[])?
    } else {
        ObjRef::NONE
    };
    let time = if is_container && cfg!(CONFIG_TIME_NS) {
        save_time(saver, task)?
    } else {
        ObjRef::NONE
    };

    Ok(Namespaces {
        uts,
        ipc,
        pid,
        time,
    })
}

/// To which user namespace those namespaces of the root belong that are its own: to one, since they
/// are made at once.
fn owner_of_root(
    saver: &Saver<'_>,
    task: &Frozen,
    uts: ObjRef,
    ipc: ObjRef,
    is_container: bool,
) -> Result<UserNs> {
    let mut owners = KVec::new();

    if is_container {
        owners.push(UserNs::of_pids(&saver.ns)?, GFP_KERNEL)?;
    }
    if is_container && saver.inside.time != saver.outside.time {
        owners.push(UserNs::of_time(task)?, GFP_KERNEL)?;
    }
    if !uts.is_none() {
        owners.push(UserNs::of_uts(task)?, GFP_KERNEL)?;
    }
    if !ipc.is_none() {
        owners.push(UserNs::of_ipc(task)?, GFP_KERNEL)?;
    }
    let Some(first) = owners.pop() else {
        return Ok(UserNs::current()?);
    };

    if !owners.iter().all(|owner| owner.is(&first)) {
        return Err(saver.refuse(fmt!(
            "has namespaces that belong to several user namespaces, which is not supported"
        )));
    }
    Ok(first)
}

fn save_uts(saver: &mut Saver<'_>, task: &Frozen) -> Result<ObjRef> {
    let (nodename, domainname) = sys::ns::uts_names(task)?;
    let user_ns = user_ns::save(saver, UserNs::of_uts(task)?)?;

    saver.out.object(
        &UtsNs {
            user_ns,
            nodename,
            domainname,
            reserved: [0; 2],
        },
        &[],
    )
}

fn save_time(saver: &mut Saver<'_>, task: &Frozen) -> Result<ObjRef> {
    let (monotonic, boottime) = sys::ns::time_offsets(task)?;
    let state = TimeNs {
        monotonic: saver.frozen.monotonic.saturating_add(monotonic),
        boottime: saver.frozen.boottime.saturating_add(boottime),
    };

    saver.out.object(&state, &[])
}

/// Checks the record of a kind of namespace.
pub(crate) fn check(record: &RawRecord<'_>, kind_of: KindOf<'_>) -> Result {
    let is = |object: ObjRef, kind| object.is_none() || kind_of(object) == Some(kind);
    let (is_wrong, tail) = match record.kind {
        UtsNs::KIND => {
            let (state, tail) = record.parse::<UtsNs>()?;

            (
                state.reserved != [0; 2] || !is(state.user_ns, UserNsState::KIND),
                tail,
            )
        }
        PidNs::KIND => {
            let (state, tail) = record.parse::<PidNs>()?;

            (
                !is(state.parent, PidNs::KIND)
                    || !is(state.user_ns, UserNsState::KIND)
                    || state.last_pid < 0
                    || state.reserved != 0,
                tail,
            )
        }
        TimeNs::KIND => {
            let (state, tail) = record.parse::<TimeNs>()?;
            // As far as an offset may set a clock.
            let fits = |time: i64| (0..=i64::MAX / 2).contains(&time);

            (!fits(state.monotonic) || !fits(state.boottime), tail)
        }
        _ => {
            let (state, tail) = record.parse::<Namespaces>()?;

            (
                !is(state.uts, UtsNs::KIND)
                    || !is(state.ipc, IpcNs::KIND)
                    || !is(state.pid, PidNs::KIND)
                    || !is(state.time, TimeNs::KIND),
                tail,
            )
        }
    };

    if is_wrong || !tail.is_empty() {
        return Err(EINVAL.into());
    }
    Ok(())
}

/// Makes the namespaces of the root, and moves the running task there for as long as it takes to
/// make that.
pub(crate) fn make(restart: &Restart, number: ObjRef) -> Result<Option<Entered>> {
    let flags = clone_flags(restart, number)?;

    if flags == 0 {
        return Ok(None);
    }
    let owner = restart.user_ns(owner(restart, number)?)?;

    Entered::new(flags, owner.as_deref())
        .map(Some)
        .map_err(|errno| {
            let why = if errno == EPERM {
                "you may not (CAP_SYS_ADMIN)"
            } else {
                "they cannot be made"
            };

            restart
                .log
                .error(errno, fmt!("the namespaces of the root: {why}"))
        })
}

/// To which user namespace the namespaces of the root belong.
fn owner(restart: &Restart, number: ObjRef) -> Result<ObjRef> {
    let (state, _) = restart.record::<Namespaces>(number)?;
    let mut owner = None;
    let mut is_other = |user_ns| *owner.get_or_insert(user_ns) != user_ns;

    if (!state.uts.is_none() && is_other(restart.record::<UtsNs>(state.uts)?.0.user_ns))
        || (!state.ipc.is_none() && is_other(restart.record::<IpcNs>(state.ipc)?.0.user_ns))
        || (!state.pid.is_none() && is_other(restart.record::<PidNs>(state.pid)?.0.user_ns))
    {
        return Err(EINVAL.into());
    }
    Ok(owner.unwrap_or(ObjRef::NONE))
}

/// The clone flags that say which namespaces the root has.
pub(crate) fn clone_flags(restart: &Restart, number: ObjRef) -> Result<u64> {
    let (state, _) = restart.record::<Namespaces>(number)?;
    let Namespaces {
        uts,
        ipc,
        pid,
        time,
    } = state;

    if !time.is_none() && !cfg!(CONFIG_TIME_NS) {
        return Err(restart.log.error(
            EOPNOTSUPP,
            fmt!("the kernel has no time namespaces (CONFIG_TIME_NS)"),
        ));
    }
    let flag = |object: ObjRef, flag| if object.is_none() { 0 } else { flag };

    Ok(flag(uts, sys::clone::NEWUTS)
        | flag(ipc, sys::clone::NEWIPC)
        | flag(pid, sys::clone::NEWPID)
        | flag(time, sys::clone::NEWTIME))
}

/// Sets what the new namespaces of the running task, the root, hold.
pub(crate) fn restore(restart: &Restart, number: ObjRef) -> Result {
    let (state, _) = restart.record::<Namespaces>(number)?;

    if !state.uts.is_none() {
        restore_uts(restart, state.uts)?;
    }
    if !state.ipc.is_none() {
        ipc::restore(restart, state.ipc)?;
    }
    if !state.time.is_none() {
        sys::ns::join_time_ns().map_err(|errno| {
            restart.log.error(
                errno,
                fmt!("you may not set the clocks of a time namespace (CAP_SYS_TIME)"),
            )
        })?;
    }
    Ok(())
}

/// Sets the names of the running task's UTS namespace, which is new.
fn restore_uts(restart: &Restart, number: ObjRef) -> Result {
    let (names, _) = restart.record::<UtsNs>(number)?;
    let UtsNs {
        user_ns: _,
        nodename,
        domainname,
        reserved: _,
    } = names;

    sys::ns::set_uts_names(&nodename, &domainname);
    Ok(())
}

/// Makes the UTS namespace of the running task, which is another one than that of the root.
pub(crate) fn make_uts(restart: &Restart, number: ObjRef) -> Result {
    let owner = restart.user_ns(restart.record::<UtsNs>(number)?.0.user_ns)?;

    Entered::new(sys::clone::NEWUTS, owner.as_deref())
        .map_err(|errno| not_allowed(restart, number, errno))?
        .stay();
    restore_uts(restart, number)
}

/// Moves the running task to the UTS namespace that another one has made.
pub(crate) fn join_uts(restart: &Restart, number: ObjRef, owner: &TaskRef) -> Result {
    sys::ns::join_uts(owner).map_err(|errno| not_allowed(restart, number, errno))
}

fn not_allowed(restart: &Restart, number: ObjRef, errno: kernel::error::Error) -> Error {
    restart.log.error(
        errno,
        fmt!(
            "object {}: you may not make UTS namespaces (CAP_SYS_ADMIN)",
            number.0
        ),
    )
}

/// The UTS namespace of a task, if it is another one than that of the root.
pub(crate) fn own_uts(of_root: &Namespaces, own: &Namespaces) -> Option<ObjRef> {
    (own.uts != of_root.uts).then_some(own.uts)
}

/// Whether a task can have these namespaces where the root has the others.
pub(crate) fn fits(of_root: &Namespaces, own: &Namespaces) -> bool {
    let Namespaces {
        uts,
        ipc,
        pid,
        time,
    } = *own;

    (uts == of_root.uts || !uts.is_none())
        && ipc == of_root.ipc
        && pid == of_root.pid
        && time == of_root.time
}

/// Sets what the objects in the namespaces of the root remember of all tasks, and what may only be
/// set when they are there.
pub(crate) fn finish(restart: &Restart, root: &kernel::task::Task, number: ObjRef) -> Result {
    let (task, _) = restart.record::<Task>(number)?;
    let (state, _) = restart.record::<Namespaces>(task.namespaces)?;

    if !state.ipc.is_none() {
        ipc::finish(restart, root, state.ipc)?;
    }
    Ok(())
}

/// Has the clocks of the tree go on from where they were; called by the coordinator before any task
/// runs its own code, so that the time that the restart takes does not count.
pub(crate) fn start_clocks(restart: &Restart, root: &sys::task::TaskRef, number: ObjRef) -> Result {
    let (state, _) = restart.record::<Namespaces>(number)?;

    if !state.time.is_none() {
        let (clocks, _) = restart.record::<TimeNs>(state.time)?;
        let TimeNs {
            monotonic,
            boottime,
        } = clocks;

        sys::ns::set_clocks(root, monotonic, boottime)?;
    }
    Ok(())
}

/// Sets from where on the root's pid namespace looks for a new pid, once all tasks have theirs.
pub(crate) fn restore_last_pid(restart: &Restart, root: ObjRef) -> Result {
    let (task, _) = restart.record::<Task>(root)?;
    let (state, _) = restart.record::<Namespaces>(task.namespaces)?;

    if !state.pid.is_none() {
        let (ns, _) = restart.record::<PidNs>(state.pid)?;
        let PidNs {
            last_pid,
            parent: _,
            user_ns: _,
            reserved: _,
        } = ns;

        sys::ns::PidNs::current()?.set_last_pid(last_pid);
    }
    Ok(())
}
