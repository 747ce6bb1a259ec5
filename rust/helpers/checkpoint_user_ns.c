// SPDX-License-Identifier: GPL-2.0

/* User namespaces. */

__rust_helper struct user_namespace *
rust_helper_checkpoint_get_user_ns(struct user_namespace *ns)
{
	return get_user_ns(ns);
}

__rust_helper void rust_helper_checkpoint_put_user_ns(struct user_namespace *ns)
{
	put_user_ns(ns);
}

__rust_helper struct user_namespace *rust_helper_checkpoint_current_user_ns(void)
{
	return current_user_ns();
}

/* In which user namespace the program of a task was started, referenced. */
__rust_helper struct user_namespace *
rust_helper_checkpoint_exec_user_ns(struct task_struct *task)
{
	guard(rcu)();
	return get_user_ns(task_exec_state_rcu(task)->user_ns);
}

/* To which user namespace the UTS namespace of a task belongs, referenced. */
__rust_helper struct user_namespace *
rust_helper_checkpoint_uts_owner(struct task_struct *task)
{
	guard(task_lock)(task);
	return task->nsproxy ?
	       get_user_ns(task->nsproxy->uts_ns->user_ns) : NULL;
}

/* As above, of its IPC namespace. */
__rust_helper struct user_namespace *
rust_helper_checkpoint_ipc_owner(struct task_struct *task)
{
	guard(task_lock)(task);
	return task->nsproxy ?
	       get_user_ns(task->nsproxy->ipc_ns->user_ns) : NULL;
}

/* As above, of its time namespace. */
__rust_helper struct user_namespace *
rust_helper_checkpoint_time_owner(struct task_struct *task)
{
	guard(task_lock)(task);
	return task->nsproxy ?
	       get_user_ns(task->nsproxy->time_ns->user_ns) : NULL;
}

/* A limit of a user namespace, by its place; NULL: this kernel has none. */
static inline long *checkpoint_ucount(struct user_namespace *ns, u32 i)
{
	static const int ucounts[13] = {
		UCOUNT_USER_NAMESPACES, UCOUNT_PID_NAMESPACES, UCOUNT_UTS_NAMESPACES,
		UCOUNT_IPC_NAMESPACES, UCOUNT_NET_NAMESPACES, UCOUNT_MNT_NAMESPACES,
		UCOUNT_CGROUP_NAMESPACES, UCOUNT_TIME_NAMESPACES,
#ifdef CONFIG_INOTIFY_USER
		UCOUNT_INOTIFY_INSTANCES, UCOUNT_INOTIFY_WATCHES,
#else
		-1, -1,
#endif
#ifdef CONFIG_FANOTIFY
		UCOUNT_FANOTIFY_GROUPS, UCOUNT_FANOTIFY_MARKS,
#else
		-1, -1,
#endif
#if IS_ENABLED(CONFIG_BINFMT_MISC)
		UCOUNT_BINFMT_MISC_INTERPRETERS,
#else
		-1,
#endif
	};

	return ucounts[i] < 0 ? NULL : &ns->ucount_max[ucounts[i]];
}

static inline struct uid_gid_map *checkpoint_id_map(struct user_namespace *ns, u32 map)
{
	struct uid_gid_map *maps[] = { &ns->uid_map, &ns->gid_map, &ns->projid_map };

	return maps[map];
}

#ifdef CONFIG_KEYS
/* The keyring of a session links to that of the user. */
static inline int checkpoint_has_keys(const void *object, void *data)
{
	const struct key *key = (void *)((unsigned long)object & ~0x3UL);

	return key->keys.nr_leaves_on_tree >
	       !strncmp(key->description, "_uid_ses.", 9);
}

static inline bool checkpoint_is_used(struct key *keyrings)
{
	guard(rcu)();
	return keyrings &&
	       assoc_array_iterate(&keyrings->keys, checkpoint_has_keys, NULL);
}
#endif

/* Whether there are keys in the keyrings that the kernel keeps for its users. */
__rust_helper bool
rust_helper_checkpoint_user_ns_has_keys(struct user_namespace *ns)
{
	bool has_keys = false;

#ifdef CONFIG_KEYS
	has_keys = checkpoint_is_used(READ_ONCE(ns->user_keyring_register));
#endif
#ifdef CONFIG_PERSISTENT_KEYRINGS
	guard(rwsem_read)(&ns->keyring_sem);
	has_keys |= checkpoint_is_used(ns->persistent_keyring_register);
#endif
	return has_keys;
}

/* Ids are those of the user namespace of current. */
__rust_helper void
rust_helper_checkpoint_user_ns_get(struct user_namespace *ns,
				   struct checkpoint_user_ns *out)
{
	u32 i;

	memset(out, 0, sizeof(*out));
	if (READ_ONCE(ns->flags) & USERNS_SETGROUPS_ALLOWED)
		out->flags |= CHECKPOINT_USER_NS_SETGROUPS;
	if (ns->parent_could_setfcap)
		out->flags |= CHECKPOINT_USER_NS_SETFCAP;
	out->owner = from_kuid(current_user_ns(), ns->owner);
	out->group = from_kgid(current_user_ns(), ns->group);
	for (i = 0; i < ARRAY_SIZE(out->ranges); i++)
		out->ranges[i] = READ_ONCE(checkpoint_id_map(ns, i)->nr_extents);
	/* A map is written once, its length last. */
	smp_rmb();
	for (i = 0; i < ARRAY_SIZE(out->limits); i++)
		out->limits[i] = checkpoint_ucount(ns, i) ?
				 READ_ONCE(*checkpoint_ucount(ns, i)) : INT_MAX;
}

/* A range of a map, as the namespace around @ns sees it: see m_show(). */
__rust_helper void
rust_helper_checkpoint_user_ns_range(struct user_namespace *ns, u32 map, u32 i,
				     u32 *first, u32 *lower, u32 *count)
{
	struct uid_gid_map *ids = checkpoint_id_map(ns, map);
	struct uid_gid_extent *extent;

	extent = ids->nr_extents <= UID_GID_MAP_MAX_BASE_EXTENTS ?
		 &ids->extent[i] : &ids->forward[i];
	*first = extent->first;
	*count = extent->count;
	switch (map) {
	case 0:
		*lower = from_kuid(ns->parent, KUIDT_INIT(extent->lower_first));
		break;
	case 1:
		*lower = from_kgid(ns->parent, KGIDT_INIT(extent->lower_first));
		break;
	default:
		*lower = from_kprojid(ns->parent, KPROJIDT_INIT(extent->lower_first));
	}
}

/*
 * Makes a user namespace in that of current, or in that of @parent. Returns
 * credentials that somebody has who has just made it.
 */
__rust_helper const struct cred *
rust_helper_checkpoint_user_ns_make(const struct cred *parent,
				    const struct checkpoint_user_ns *in)
{
	const struct cred *old = NULL;
	kuid_t owner = make_kuid(current_user_ns(), in->owner);
	kgid_t group = make_kgid(current_user_ns(), in->group);
	struct user_namespace *ns;
	struct cred *new;
	u32 i;
	int ret;

	if (!uid_valid(owner) || !gid_valid(group))
		return ERR_PTR(-EINVAL);
	if (parent)
		old = override_creds(parent);
	new = prepare_creds();
	if (old)
		revert_creds(old);
	if (!new)
		return ERR_PTR(-ENOMEM);
	/* What else there is of them is what the owner takes over. */
	new->euid = owner;
	new->egid = group;
	ret = -EPERM;
	if (!(in->flags & CHECKPOINT_USER_NS_SETFCAP))
		cap_lower(new->cap_effective, CAP_SETFCAP);
	else if (!cap_raised(new->cap_effective, CAP_SETFCAP))
		goto abort;
	ret = create_user_ns(new);
	if (ret)
		goto abort;
	ns = new->user_ns;
	/* Nobody is in it yet. */
	if (!(in->flags & CHECKPOINT_USER_NS_SETGROUPS)) {
		ns->flags &= ~USERNS_SETGROUPS_ALLOWED;
	} else if (!(ns->flags & USERNS_SETGROUPS_ALLOWED)) {
		ret = -EPERM;
		goto abort;
	}
	for (i = 0; i < ARRAY_SIZE(in->limits); i++)
		if (checkpoint_ucount(ns, i))
			*checkpoint_ucount(ns, i) = in->limits[i];
	return new;

abort:
	abort_creds(new);
	return ERR_PTR(ret);
}

/*
 * Sets a map of a user namespace from the lines of a file in /proc, with the
 * rights of current.
 */
__rust_helper int
rust_helper_checkpoint_user_ns_map(const struct cred *cred, u32 map, char *lines)
{
#ifdef CONFIG_USER_NS
	static const int caps[] = { CAP_SETUID, CAP_SETGID, -1 };
	struct user_namespace *ns = cred->user_ns;

	return checkpoint_write_id_map(ns, lines, caps[map], checkpoint_id_map(ns, map),
				       checkpoint_id_map(ns->parent, map));
#else
	return -EOPNOTSUPP;
#endif
}

/* Whether an id of the user namespace of current means something in another. */
__rust_helper bool
rust_helper_checkpoint_user_ns_has(const struct cred *cred, u32 id, bool is_group)
{
	kuid_t uid = make_kuid(current_user_ns(), id);
	kgid_t gid = make_kgid(current_user_ns(), id);

	if (is_group)
		return gid_valid(gid) && kgid_has_mapping(cred->user_ns, gid);
	return uid_valid(uid) && kuid_has_mapping(cred->user_ns, uid);
}

__rust_helper bool
rust_helper_checkpoint_user_ns_has_groups(const struct cred *cred)
{
	return userns_may_setgroups(cred->user_ns);
}

/*
 * Makes namespaces that belong to the user namespace of @cred, or to that of
 * current, and moves current there. Returns those in which it was.
 */
__rust_helper struct nsproxy *
rust_helper_checkpoint_enter_namespaces(unsigned long flags, const struct cred *cred)
{
	struct nsproxy *old = current->nsproxy, *new;
	int ret;

	ret = unshare_nsproxy_namespaces(flags, &new, (struct cred *)cred, NULL);
	if (ret)
		return ERR_PTR(ret);
	get_nsproxy(old);
	switch_task_namespaces(current, new);
	return old;
}

/* Moves current back. */
__rust_helper void rust_helper_checkpoint_leave_namespaces(struct nsproxy *old)
{
	switch_task_namespaces(current, old);
}

__rust_helper void rust_helper_checkpoint_put_nsproxy(struct nsproxy *ns)
{
	put_nsproxy(ns);
}
