// SPDX-License-Identifier: GPL-2.0

/* Credentials and confinement. */

__rust_helper bool rust_helper_task_no_new_privs(struct task_struct *task)
{
	return task_no_new_privs(task);
}

__rust_helper void rust_helper_task_set_no_new_privs(struct task_struct *task)
{
	task_set_no_new_privs(task);
}

#ifdef CONFIG_KEYS
#include "../../security/keys/internal.h"
#endif

#ifdef CONFIG_SECURITY_LANDLOCK
#include "../../security/landlock/cred.h"
#endif

__rust_helper bool rust_helper_task_is_landlocked(struct task_struct *task)
{
#ifdef CONFIG_SECURITY_LANDLOCK
	return landlocked(task);
#else
	return false;
#endif
}

__rust_helper const struct cred *rust_helper_checkpoint_current_cred(void)
{
	return current_cred();
}

/* Credentials as plain numbers, in the caller's user namespace. */
__rust_helper void rust_helper_checkpoint_cred_get(const struct cred *cred,
						   struct checkpoint_cred *out)
{
	struct user_namespace *ns = current_user_ns();

	out->uid[0] = from_kuid(ns, cred->uid);
	out->uid[1] = from_kuid(ns, cred->euid);
	out->uid[2] = from_kuid(ns, cred->suid);
	out->uid[3] = from_kuid(ns, cred->fsuid);
	out->gid[0] = from_kgid(ns, cred->gid);
	out->gid[1] = from_kgid(ns, cred->egid);
	out->gid[2] = from_kgid(ns, cred->sgid);
	out->gid[3] = from_kgid(ns, cred->fsgid);
	out->caps[0] = cred->cap_inheritable.val;
	out->caps[1] = cred->cap_permitted.val;
	out->caps[2] = cred->cap_effective.val;
	out->caps[3] = cred->cap_bset.val;
	out->caps[4] = cred->cap_ambient.val;
	out->securebits = cred->securebits;
	out->has_keyrings = false;
#ifdef CONFIG_KEYS
	out->has_keyrings = cred->process_keyring || cred->thread_keyring ||
			    cred->jit_keyring != KEY_REQKEY_DEFL_DEFAULT;
#endif
}

/*
 * Whether the session keyring is that of somebody from whom the root of the
 * tree descends: what a login has given to all of its processes, the tree
 * among them.
 */
__rust_helper bool
rust_helper_checkpoint_inherits_keyring(const struct cred *cred,
					struct task_struct *root)
{
#ifdef CONFIG_KEYS
	struct task_struct *task = root;
	struct key *key = cred->session_keyring;

	if (!key)
		return true;
	guard(rcu)();
	do {
		task = rcu_dereference(task->real_parent);
		if (__task_cred(task)->session_keyring == key)
			return true;
	} while (!is_idle_task(task));
	return false;
#else
	return true;
#endif
}

/*
 * Whether the session keyring is the one that the kernel keeps for the user,
 * as it is once somebody without a session keyring has asked for it.
 */
__rust_helper bool
rust_helper_checkpoint_has_user_session(const struct cred *cred)
{
#ifdef CONFIG_KEYS
	struct key *key = get_user_session_keyring_rcu(cred);

	key_put(key);
	return key && key == cred->session_keyring;
#else
	return false;
#endif
}

/* Makes that of the user of current, which is made if need be, its own. */
__rust_helper int rust_helper_checkpoint_join_user_session(void)
{
#ifdef CONFIG_KEYS
	struct cred *new;
	struct key *key;
	int ret;

	ret = look_up_user_keyrings(NULL, &key);
	if (ret)
		return ret;
	new = prepare_creds();
	ret = new ? install_session_keyring_to_cred(new, key) : -ENOMEM;
	key_put(key);
	if (!ret)
		return commit_creds(new);
	if (new)
		abort_creds(new);
	return ret;
#else
	return -EOPNOTSUPP;
#endif
}

__rust_helper u32 rust_helper_checkpoint_cred_groups(const struct cred *cred)
{
	return cred->group_info->ngroups;
}

__rust_helper u32 rust_helper_checkpoint_cred_group(const struct cred *cred, u32 i)
{
	return from_kgid(current_user_ns(), cred->group_info->gid[i]);
}

/*
 * Gives current the credentials, whose ids are those of its user namespace, in
 * that or another one. Whether it may have them was checked before; here only
 * numbers that mean nothing are refused.
 */
__rust_helper int
rust_helper_checkpoint_cred_set(const struct checkpoint_cred *in,
				const u32 *groups, u32 ngroups,
				struct user_namespace *user_ns)
{
	struct user_namespace *ns = current_user_ns();
	struct group_info *info;
	kuid_t uid[4];
	kgid_t gid[4];
	struct cred *new;
	u32 i;
	int ret;

	for (i = 0; i < 4; i++) {
		uid[i] = make_kuid(ns, in->uid[i]);
		gid[i] = make_kgid(ns, in->gid[i]);
		if (!uid_valid(uid[i]) || !gid_valid(gid[i]))
			return -EINVAL;
	}
	info = groups_alloc(ngroups);
	if (!info)
		return -ENOMEM;
	for (i = 0; i < ngroups; i++) {
		info->gid[i] = make_kgid(ns, groups[i]);
		if (!gid_valid(info->gid[i])) {
			put_group_info(info);
			return -EINVAL;
		}
	}
	groups_sort(info);

	new = prepare_creds();
	if (!new) {
		put_group_info(info);
		return -ENOMEM;
	}
	set_groups(new, info);
	put_group_info(info);
	if (new->user_ns != user_ns) {
		put_user_ns(new->user_ns);
		new->user_ns = get_user_ns(user_ns);
#ifdef CONFIG_KEYS
		/* As set_cred_user_ns() does. */
		key_put(new->request_key_auth);
		new->request_key_auth = NULL;
#endif
	}

#ifdef CONFIG_KEYS
	/* As execve() does; the session keyring stays. */
	key_put(new->thread_keyring);
	new->thread_keyring = NULL;
	key_put(new->process_keyring);
	new->process_keyring = NULL;
	new->jit_keyring = KEY_REQKEY_DEFL_DEFAULT;
#endif
	new->uid = uid[0];
	new->euid = uid[1];
	new->suid = uid[2];
	new->fsuid = uid[3];
	new->gid = gid[0];
	new->egid = gid[1];
	new->sgid = gid[2];
	new->fsgid = gid[3];
	if (!uid_eq(new->uid, current_uid())) {
		struct user_struct *user = alloc_uid(new->uid);

		ret = -EAGAIN;
		if (!user)
			goto abort;
		free_uid(new->user);
		new->user = user;
	}
	ret = security_task_fix_setgroups(new, current_cred());
	if (!ret)
		ret = security_task_fix_setgid(new, current_cred(), LSM_SETID_RES);
	if (!ret)
		ret = security_task_fix_setuid(new, current_cred(), LSM_SETID_RES);
	if (ret)
		goto abort;
	new->cap_inheritable.val = in->caps[0];
	new->cap_permitted.val = in->caps[1];
	new->cap_effective.val = in->caps[2];
	new->cap_bset.val = in->caps[3];
	new->cap_ambient.val = in->caps[4];
	new->securebits = in->securebits;
	ret = set_cred_ucounts(new);
	if (ret)
		goto abort;
	return commit_creds(new);

abort:
	abort_creds(new);
	return ret;
}

__rust_helper bool rust_helper_checkpoint_capable(int cap)
{
	return ns_capable(current_user_ns(), cap);
}

/* Whether somebody has logged in, and who; and the number of the session. */
__rust_helper bool rust_helper_checkpoint_get_login(struct task_struct *task,
						    u32 *user, u32 *session)
{
	*user = from_kuid(current_user_ns(), audit_get_loginuid(task));
	*session = audit_get_sessionid(task);
	return audit_loginuid_set(task);
}

/* @session is that of another task of a restart, or AUDIT_SID_UNSET. */
__rust_helper int rust_helper_checkpoint_set_login(u32 user, u32 session)
{
#ifdef CONFIG_AUDIT
	kuid_t uid = make_kuid(current_user_ns(), user);

	if (user != (u32)-1 && !uid_valid(uid))
		return -EINVAL;
	return audit_set_login(uid, session);
#else
	return -EOPNOTSUPP;
#endif
}
