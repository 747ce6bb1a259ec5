// SPDX-License-Identifier: GPL-2.0

//! Epoll sets: epoll_create(2).
//!
//! Kept: the flags, and for each item the file, the number that it was added by, the events, the
//! data, and whether EPOLLONESHOT has disarmed it. An item is tested for events when it comes
//! back, so that nothing that was not reported yet is lost; an edge (EPOLLET) that was reported
//! may be reported again, as epoll(7) allows. For a signalfd also the process that has added it,
//! whose signals wake up the set.
//! Not kept, and refused: items whose file no descriptor of the tree refers to, the signals of
//! processes that are not in the tree, parameters for busy polling.
//!
//! Sets can watch each other, so that the items are saved after all files, and brought back after
//! all files.
//!
//! C header: [`include/linux/eventpoll.h`](srctree/include/linux/eventpoll.h)

use super::FileKind;
use crate::error::Result;
use crate::format::file::EpollFile;
use crate::format::file::EpollItem;
use crate::format::file::SignalFile;
use crate::format::task::Sighand;
use crate::format::ObjRef;
use crate::format::Record;
use crate::image::RawRecord;
use crate::object::Class;
use crate::restore::Restart;
use crate::save::Saver;
use crate::sys;
use crate::sys::eventpoll::Item;
use crate::sys::file::FileRef;
use kernel::fs::file::flags;
use kernel::prelude::*;

/// The row of the table of kinds.
pub(crate) const KIND: FileKind = FileKind {
    name: "an epoll set",
    record: EpollFile::KIND,
    is: is_epoll,
    save,
    restore,
};

fn is_epoll(file: &FileRef) -> bool {
    sys::eventpoll::is_epoll(file)
}

fn save(saver: &mut Saver<'_>, file: &FileRef) -> Result<ObjRef> {
    let state = EpollFile {
        open: super::save_open(saver, file)?,
    };
    let number = saver.out.object(&state, &[])?;

    saver.epolls.push((file.clone(), number), GFP_KERNEL)?;
    Ok(number)
}

/// Saves what the sets watch. All files of the tree must have been saved.
pub(crate) fn save_items(saver: &mut Saver<'_>) -> Result {
    let sets = core::mem::take(&mut saver.epolls);

    for (set, number) in &sets {
        let items = sys::eventpoll::items(set).map_err(|errno| match errno {
            EOPNOTSUPP => saver.refuse(fmt!(
                "{}: has parameters for busy polling (EPIOCSPARAMS)",
                &*saver.name_of(set)
            )),
            errno => errno.into(),
        })?;

        for item in &items {
            save_item(saver, set, *number, item)?;
        }
    }
    Ok(())
}

fn save_item(saver: &mut Saver<'_>, set: &FileRef, epoll: ObjRef, item: &Item) -> Result {
    // An item is no reference to its file: closing the last descriptor removes it.
    let file = saver.objects.find(Class::File, item.file).ok_or_else(|| {
        saver.refuse(fmt!(
            "{}: watches a file that no descriptor of the tree refers to (added as {})",
            &*saver.name_of(set),
            item.fd
        ))
    })?;
    let state = EpollItem {
        epoll,
        file,
        fd: u32::try_from(item.fd).map_err(|_| EINVAL)?,
        events: item.events,
        data: item.data,
        disarmed: u32::from(item.is_disarmed()),
        sighand: signals_of(saver, set, item)?,
    };

    saver.out.record(&state, &[])
}

/// For a signalfd: the handlers of the process whose signals wake up the set. It is the process
/// that has added the signalfd; who waits for the set does not matter.
fn signals_of(saver: &Saver<'_>, set: &FileRef, item: &Item) -> Result<ObjRef> {
    if !saver.signalfds.contains(&item.file) {
        return Ok(ObjRef::NONE);
    }
    let handlers = sys::signalfd::handlers_of(item.queue);

    saver.objects.find(Class::Sighand, handlers).ok_or_else(|| {
        saver.refuse(fmt!(
            "{}: watches the signals of a process that is not in the tree (added as {})",
            &*saver.name_of(set),
            item.fd
        ))
    })
}

/// Checks a record of a set before anything is made of it.
pub(crate) fn check(record: &RawRecord<'_>) -> Result {
    let (EpollFile { open }, tail) = record.parse::<EpollFile>()?;

    if super::open_flags(&open)? & flags::O_ACCMODE != flags::O_RDWR
        || open.pos != 0
        || !tail.is_empty()
    {
        return Err(EINVAL.into());
    }
    Ok(())
}

/// Checks a record of an item before anything is made of it; gives whose signals it waits for.
pub(crate) fn check_item(
    record: &RawRecord<'_>,
    kind_of: &dyn Fn(ObjRef) -> Option<u16>,
) -> Result<ObjRef> {
    let (state, tail) = record.parse::<EpollItem>()?;
    let EpollItem {
        epoll,
        file,
        fd,
        events,
        data,
        disarmed,
        sighand,
    } = state;
    let waits_for = if kind_of(file) == Some(SignalFile::KIND) {
        Some(Sighand::KIND)
    } else {
        None
    };
    let item = Item {
        file: 0,
        queue: 0,
        fd: i32::try_from(fd).map_err(|_| EINVAL)?,
        events,
        data,
    };

    if kind_of(epoll) != Some(EpollFile::KIND)
        || !kind_of(file).is_some_and(super::is_file)
        || disarmed != u32::from(item.is_disarmed())
        || sighand.is_none() != waits_for.is_none()
        || kind_of(sighand) != waits_for
        || !tail.is_empty()
    {
        return Err(EINVAL.into());
    }
    Ok(sighand)
}

fn restore(restart: &Restart, number: ObjRef) -> Result<FileRef> {
    let (EpollFile { open }, _) = restart.record::<EpollFile>(number)?;

    Ok(sys::eventpoll::create(super::open_flags(&open)?)?)
}

/// Adds the items to their sets. All files must have been made, with what is in them.
pub(crate) fn restore_items(restart: &Restart) -> Result {
    for record in restart.records::<EpollItem>() {
        let (state, _) = record.parse::<EpollItem>()?;

        if state.sighand.is_none() {
            restore_item(restart, &record)?;
        }
    }
    Ok(())
}

/// Adds the items that wait for the signals of the running process, as their adding says which
/// process that is. What is pending must have been restored.
pub(crate) fn restore_signal_items(restart: &Restart, sighand: ObjRef) -> Result {
    restart
        .belonging::<EpollItem>(sighand)
        .try_for_each(|record| restore_item(restart, &record))
}

fn restore_item(restart: &Restart, record: &RawRecord<'_>) -> Result {
    let (state, _) = record.parse::<EpollItem>()?;
    let EpollItem {
        epoll,
        file,
        fd,
        events,
        data,
        disarmed,
        sighand: _,
    } = state;
    let (set, file) = (restart.file(epoll)?, restart.file(file)?);
    let fd = i32::try_from(fd).map_err(|_| EINVAL)?;
    let took = sys::eventpoll::add(&set, &file, fd, events, data).map_err(|errno| {
        restart.log.error(
            errno,
            fmt!("object {}: cannot watch what was added as {fd}", epoll.0),
        )
    })?;

    if disarmed != 0 {
        sys::eventpoll::disarm(&set, &file, fd)?;
    } else if took != events {
        restart.log.line(fmt!(
            "object {}: what was added as {fd} does not keep the machine awake any more",
            epoll.0
        ));
    }
    Ok(())
}

#[cfg(CONFIG_CHECKPOINT_KUNIT_TEST)]
#[kunit_tests(checkpoint_eventpoll)]
mod tests {
    use super::*;
    use crate::image::Reader;
    use crate::image::Writer;

    const EPOLLIN: u32 = 1;
    const EPOLLONESHOT: u32 = 1 << 30;

    fn is_good(change: impl FnOnce(&mut EpollItem), kinds: [u16; 2]) -> bool {
        let mut writer = Writer::new();
        let mut item = EpollItem {
            epoll: ObjRef(1),
            file: ObjRef(2),
            fd: 7,
            events: EPOLLIN | EPOLLONESHOT,
            data: 1,
            disarmed: 0,
            sighand: ObjRef::NONE,
        };
        let kind_of = |object: ObjRef| kinds.get(object.0.checked_sub(1)? as usize).copied();

        change(&mut item);
        writer.record(&item, &[]).is_ok()
            && matches!(
                Reader::new(writer.bytes()).next_record(),
                Ok(Some(record)) if check_item(&record, &kind_of).is_ok()
            )
    }

    #[test]
    fn takes_what_it_was_given() {
        assert!(is_good(|_| (), [EpollFile::KIND; 2]));
        assert!(is_good(
            |item| {
                item.events = EPOLLONESHOT;
                item.disarmed = 1;
            },
            [EpollFile::KIND; 2]
        ));
    }

    #[test]
    fn refuses_what_cannot_be() {
        assert!(!is_good(|_| (), [EpollItem::KIND, EpollFile::KIND]));
        assert!(!is_good(|_| (), [EpollFile::KIND, EpollItem::KIND]));
        assert!(!is_good(|item| item.file = ObjRef(3), [EpollFile::KIND; 2]));
        assert!(!is_good(|item| item.fd = u32::MAX, [EpollFile::KIND; 2]));
        assert!(!is_good(|item| item.disarmed = 1, [EpollFile::KIND; 2]));
        assert!(!is_good(
            |item| item.events = EPOLLONESHOT,
            [EpollFile::KIND; 2]
        ));
        assert!(!is_good(
            |item| item.sighand = ObjRef(1),
            [EpollFile::KIND; 2]
        ));
        assert!(!is_good(|_| (), [EpollFile::KIND, SignalFile::KIND]));
    }
}
