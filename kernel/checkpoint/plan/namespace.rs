// SPDX-License-Identifier: GPL-2.0

//! Which tasks can be in which namespaces, but for those of users.

use super::Plan;
use super::TaskPlan;
use crate::error::Error;
use crate::error::Result;
use crate::format::namespace;
use crate::format::task;
use crate::format::ObjRef;
use crate::task::namespace as ns;
use crate::task::pids;
use crate::task::pids::Place;
use kernel::prelude::*;
use kernel::rbtree::RBTree;

impl Plan {
    /// The namespaces of all tasks are those of the root, but for those of UTS.
    pub(super) fn check_namespaces(&mut self) -> Result {
        let of = |plan: &TaskPlan| {
            let record = self.object(plan.namespaces)?;

            Ok::<_, Error>(record.parse::<namespace::Namespaces>()?.0)
        };
        let root = of(self.tasks.first().ok_or(EINVAL)?)?;
        let mut owned = RBTree::<ObjRef, ()>::new();
        let mut others = KVVec::<(usize, ObjRef, bool)>::new();

        for (index, plan) in self.tasks.iter().enumerate() {
            if plan.is_zombie {
                continue;
            }
            let own = of(plan)?;

            if !ns::fits(&root, &own) {
                return Err(EINVAL.into());
            }
            if let Some(uts) = ns::own_uts(&root, &own) {
                let is_first = owned.get(&uts).is_none();

                if is_first {
                    owned.try_create_and_insert(uts, (), GFP_KERNEL)?;
                }
                others.push((index, uts, is_first), GFP_KERNEL)?;
            }
        }
        for (index, uts, is_first) in others {
            if let Some(plan) = self.tasks.get_mut(index) {
                plan.uts = Some(uts);
                plan.owns_uts = is_first;
            }
        }
        Ok(())
    }

    /// A pid namespace has one init, which is made together with it, or by the one task that has
    /// made it for its children.
    pub(super) fn check_pids(&self) -> Result {
        if self.records::<task::Pids>().next().is_none() {
            return Ok(());
        }
        let root = self.tasks.first().ok_or(EINVAL)?;
        let (of_root, _) = self
            .object(root.namespaces)?
            .parse::<namespace::Namespaces>()?;
        let mut places = KVVec::<Place>::new();
        let mut numbers = RBTree::<(ObjRef, i32), ()>::new();
        let mut makers = RBTree::<ObjRef, u32>::new();
        let mut inits = RBTree::<ObjRef, Option<u32>>::new();
        let mut dead = RBTree::<ObjRef, ()>::new();

        for (index, plan) in (0u32..).zip(&self.tasks) {
            let mut records = self.belonging::<task::Pids>(plan.number);
            let place = Place::of(records.next())?;
            let known = |ns: ObjRef| !ns.is_none() && ns == of_root.pid;

            if records.next().is_some()
                || known(place.ns)
                || known(place.children)
                || self.levels(place.ns)? != place.levels
                || (plan.is_zombie && place.children != place.ns)
            {
                return Err(EINVAL.into());
            }
            if !place.ns.is_none() {
                if numbers.get(&(place.ns, place.number)).is_some() {
                    return Err(EINVAL.into());
                }
                numbers.try_create_and_insert((place.ns, place.number), (), GFP_KERNEL)?;
            }
            if place.children != place.ns {
                let fits = !place.children.is_none()
                    && self.outer(place.children)? == place.ns
                    && makers.get(&place.children).is_none();

                if !fits {
                    return Err(EINVAL.into());
                }
                makers.try_create_and_insert(place.children, index, GFP_KERNEL)?;
            }
            let creator = match plan.creator {
                Some(creator) => *places.get(creator as usize).ok_or(EINVAL)?,
                None => Place::default(),
            };

            if place.number == 1 {
                inits.try_create_and_insert(place.ns, plan.creator, GFP_KERNEL)?;
                if plan.is_zombie && plan.heir.is_none() {
                    dead.try_create_and_insert(place.ns, (), GFP_KERNEL)?;
                }
            }
            if place.ns != creator.ns {
                let with_it =
                    !place.ns.is_none() && place.number == 1 && self.outer(place.ns)? == creator.ns;

                if !plan.is_leader || !(creator.is_for_children(&place) || with_it) {
                    return Err(EINVAL.into());
                }
            }
            places.push(place, GFP_KERNEL)?;
        }
        // An init ends when it is the last: it would wait for the others.
        for place in &places {
            let (mut ns, mut is_init) = (place.ns, place.number == 1);

            while !ns.is_none() {
                if dead.get(&ns).is_some() && !is_init {
                    return Err(EINVAL.into());
                }
                is_init = false;
                ns = self.outer(ns)?;
            }
        }
        for (ns, maker) in &makers {
            if inits
                .get(ns)
                .is_some_and(|creator| *creator != Some(*maker))
            {
                return Err(EINVAL.into());
            }
        }
        Ok(())
    }

    /// The pid namespace around another.
    fn outer(&self, ns: ObjRef) -> Result<ObjRef> {
        let (state, _) = self.object(ns)?.parse::<namespace::PidNs>()?;

        Ok(state.parent)
    }

    /// How deep a pid namespace is below that of the root.
    fn levels(&self, mut ns: ObjRef) -> Result<u32> {
        let mut levels = 0u32;

        while !ns.is_none() {
            levels = levels.checked_add(1).ok_or(EINVAL)?;
            if levels > pids::LEVELS {
                return Err(EINVAL.into());
            }
            ns = self.outer(ns)?;
        }
        Ok(levels)
    }
}
