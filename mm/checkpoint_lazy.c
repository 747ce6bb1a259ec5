// SPDX-License-Identifier: GPL-2.0
/*
 * Memory whose content is still in the image of a restart: RESTART_LAZY.
 *
 * The restart fills page tables with entries that name an image and a page of
 * its data. The first access brings the page in, as it does one from swap; a
 * thread brings in the rest. munmap(2), madvise(2), exit(2) drop the entries,
 * mremap(2) moves and fork(2) copies them, as it does all entries that are not
 * present.
 *
 * An image lives as long as there is an entry that names it: each counts as a
 * reference. A reference is taken where the entry is seen under the page table
 * lock, which keeps it there. Copies and drops are counted under that lock too.
 *
 * The pages come through the page cache of the file, without the position and
 * the locks of read(2): a fault may happen in a system call that holds those.
 * Whoever may write to the file can change what the memory will have, as they
 * could have changed the image before the restart; the rights that the restart
 * gave were decided by the metadata, which is not looked at again.
 */
#include <linux/checkpoint.h>
#include <linux/highmem.h>
#include <linux/hugetlb.h>
#include <linux/kthread.h>
#include <linux/leafops.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/pagewalk.h>
#include <linux/rmap.h>
#include <linux/sched/mm.h>
#include <linux/shmem_fs.h>
#include <linux/swapfile.h>
#include <linux/userfaultfd_k.h>
#include <linux/xarray.h>

#include "internal.h"
#include "../kernel/checkpoint/checkpoint.h"

/* An entry: the bits of PTE_MARKER_*, the number of the image, the page. */
#define NUMBER_SHIFT	4
#define NUMBER_BITS	10
#define INDEX_SHIFT	(NUMBER_SHIFT + NUMBER_BITS)

/* Pages that one hash of the image covers. */
#define CHUNK_PAGES	256

/* Pages that are brought in with the one that is touched, and by the thread. */
#define FAULT_PAGES	16
#define PULL_PAGES	64

#define GFP_AROUND	(GFP_HIGHUSER_MOVABLE | __GFP_NORETRY | __GFP_NOWARN)

/* An address space that was restarted; its page tables may be gone. */
struct space {
	struct list_head list;
	struct mm_struct *mm;
};

/**
 * struct checkpoint_image - where the content of memory is
 * @refs: entries of page tables that name it, and others who use it
 * @number: by which they name it
 * @file: has it
 * @first: page of the file that is the first of the page data
 * @pages: how many there are
 * @hashes: of the chunks of page data
 * @checked: chunks whose hash was right
 * @spaces: those that the thread fills; they do not change once it runs
 * @free: frees this, since the last entry goes in atomic context
 */
struct checkpoint_image {
	atomic_long_t refs;
	u32 number;
	struct file *file;
	pgoff_t first;
	u64 pages;
	u64 *hashes;
	unsigned long *checked;
	struct list_head spaces;
	struct work_struct free;
};

static DEFINE_XARRAY_ALLOC(images);

static softleaf_t make_leaf(struct checkpoint_image *image, u64 index)
{
	return swp_entry(SWP_PTE_MARKER, PTE_MARKER_IMAGE |
			 (unsigned long)image->number << NUMBER_SHIFT |
			 (unsigned long)index << INDEX_SHIFT);
}

static u64 leaf_index(softleaf_t leaf)
{
	return swp_offset(leaf) >> INDEX_SHIFT;
}

/* The image that an entry names, which is in a page table that is locked. */
static struct checkpoint_image *leaf_image(softleaf_t leaf)
{
	unsigned long number = swp_offset(leaf) >> NUMBER_SHIFT;

	return xa_load(&images, number & (BIT(NUMBER_BITS) - 1));
}

static bool names(pte_t pte, struct checkpoint_image *image, u64 index)
{
	return softleaf_from_pte(pte).val == make_leaf(image, index).val;
}

static void free_image(struct checkpoint_image *image)
{
	struct space *space, *next;

	list_for_each_entry_safe(space, next, &image->spaces, list) {
		mmdrop(space->mm);
		kfree(space);
	}
	fput(image->file);
	kvfree(image->hashes);
	kvfree(image->checked);
	kfree(image);
}

static void free_work(struct work_struct *work)
{
	struct checkpoint_image *image =
		container_of(work, struct checkpoint_image, free);

	xa_erase(&images, image->number);
	free_image(image);
}

static void put_image(struct checkpoint_image *image, long refs)
{
	if (atomic_long_sub_and_test(refs, &image->refs))
		schedule_work(&image->free);
}

/* An entry is copied to another page table; both are locked. */
void checkpoint_lazy_dup(softleaf_t leaf)
{
	atomic_long_inc(&leaf_image(leaf)->refs);
}

/* An entry is dropped from a page table, which is locked. */
void checkpoint_lazy_drop(softleaf_t leaf)
{
	put_image(leaf_image(leaf), 1);
}

/**
 * checkpoint_image_open - make page data known that memory can be filled from
 * @file: the image, open for reading
 * @first: page of @file that is the first of the page data
 * @pages: how many there are
 * @hashes: one for each chunk
 *
 * Return: the image with a reference; ERR_PTR(-ESPIPE) if that cannot be read
 * twice, ERR_PTR(-EOPNOTSUPP) if this cannot be done with it here and now
 */
struct checkpoint_image *checkpoint_image_open(struct file *file,
					       unsigned long first,
					       unsigned long pages,
					       const u64 *hashes)
{
	const size_t chunks = DIV_ROUND_UP(pages, CHUNK_PAGES);
	struct address_space *mapping = file->f_mapping;
	struct checkpoint_image *image;
	int ret;

	if (!S_ISREG(file_inode(file)->i_mode))
		return ERR_PTR(-ESPIPE);
	if (!IS_ENABLED(CONFIG_CHECKPOINT_LAZY) || !pages ||
	    (!shmem_mapping(mapping) && !mapping->a_ops->read_folio))
		return ERR_PTR(-EOPNOTSUPP);
	/*
	 * Beyond this the entries do not hold what was written to them, or are
	 * what a processor takes for addresses of memory (L1TF).
	 */
	if (pages > swapfile_maximum_size >> INDEX_SHIFT)
		return ERR_PTR(-EOPNOTSUPP);

	image = kzalloc_obj(*image, GFP_KERNEL_ACCOUNT);
	if (!image)
		return ERR_PTR(-ENOMEM);
	atomic_long_set(&image->refs, 1);
	image->file = get_file(file);
	image->first = first;
	image->pages = pages;
	INIT_LIST_HEAD(&image->spaces);
	INIT_WORK(&image->free, free_work);
	image->hashes = kvmemdup(hashes, chunks * sizeof(*hashes), GFP_KERNEL_ACCOUNT);
	image->checked = kvcalloc(BITS_TO_LONGS(chunks), sizeof(long),
				  GFP_KERNEL_ACCOUNT);
	ret = -ENOMEM;
	if (image->hashes && image->checked)
		ret = xa_alloc(&images, &image->number, image,
			       XA_LIMIT(0, BIT(NUMBER_BITS) - 1),
			       GFP_KERNEL_ACCOUNT);
	if (ret) {
		free_image(image);
		return ERR_PTR(ret == -EBUSY ? -EOPNOTSUPP : ret);
	}
	return image;
}

/* Gives up a reference. */
void checkpoint_image_put(struct checkpoint_image *image)
{
	put_image(image, 1);
}

/*
 * The folio of the page cache that has a page of the image. -EAGAIN: it would
 * have to be read first.
 */
static struct folio *image_folio(struct checkpoint_image *image, u64 index,
				 bool read)
{
	struct address_space *mapping = image->file->f_mapping;
	pgoff_t at = image->first + index;
	struct folio *folio;

	if (at >= i_size_read(mapping->host) >> PAGE_SHIFT)
		return ERR_PTR(-EIO);
	if (!read)
		folio = filemap_get_folio(mapping, at);
	else if (shmem_mapping(mapping))
		folio = shmem_read_folio(mapping, at);
	else
		folio = read_mapping_folio(mapping, at, image->file);

	if (IS_ERR(folio))
		return read ? folio : ERR_PTR(-EAGAIN);
	if (!folio_test_uptodate(folio)) {
		folio_put(folio);
		return ERR_PTR(read ? -EIO : -EAGAIN);
	}
	if (PageHWPoison(folio_file_page(folio, at))) {
		folio_put(folio);
		return ERR_PTR(-EHWPOISON);
	}
	return folio;
}

static struct page *image_page(struct checkpoint_image *image,
			       struct folio *folio, u64 index)
{
	return folio_file_page(folio, image->first + index);
}

/* Has a chunk in the page cache, and looks whether it is what was written. */
static int read_chunk(struct checkpoint_image *image, u64 index)
{
	u64 chunk = div_u64(index, CHUNK_PAGES), end;
	struct folio *folio;
	const void *data;
	struct xxh64_state hash;

	xxh64_reset(&hash, 0);
	index = chunk * CHUNK_PAGES;
	end = min(index + CHUNK_PAGES, image->pages);
	folio = image_folio(image, index, false);
	if (!IS_ERR(folio))
		folio_put(folio);
	else if (!shmem_mapping(image->file->f_mapping))
		force_page_cache_readahead(image->file->f_mapping, image->file,
					   image->first + index, end - index);

	for (; index < end; index++) {
		folio = image_folio(image, index, true);
		if (IS_ERR(folio))
			return PTR_ERR(folio);
		data = kmap_local_page(image_page(image, folio, index));
		xxh64_update(&hash, data, PAGE_SIZE);
		kunmap_local(data);
		folio_put(folio);
		cond_resched();
	}
	if (xxh64_digest(&hash) != image->hashes[chunk])
		return -EBADMSG;
	set_bit(chunk, image->checked);
	return 0;
}

static bool is_checked(struct checkpoint_image *image, u64 index)
{
	return test_bit(div_u64(index, CHUNK_PAGES), image->checked);
}

/* A copy of a page that is in the page cache. */
static struct folio *copy_page_of(struct checkpoint_image *image, u64 index,
				  struct vm_area_struct *vma,
				  unsigned long addr, gfp_t gfp)
{
	struct folio *from = image_folio(image, index, false), *folio;

	if (IS_ERR(from))
		return from;
	folio = vma_alloc_folio(gfp, 0, vma, addr);
	if (folio && mem_cgroup_charge(folio, vma->vm_mm, gfp)) {
		folio_put(folio);
		folio = NULL;
	}
	if (folio) {
		copy_user_highpage(&folio->page, image_page(image, from, index),
				   addr, vma);
		__folio_mark_uptodate(folio);
	}
	folio_put(from);
	return folio ?: ERR_PTR(-ENOMEM);
}

/* Maps a page in the place of its entry, as do_swap_page() does. */
static void map_page(struct vm_area_struct *vma, unsigned long addr, pte_t *ptep,
		     struct folio *folio)
{
	pte_t old = ptep_get(ptep), pte;

	pte = pte_mkdirty(folio_mk_pte(folio, vma->vm_page_prot));
	if (pte_swp_uffd(old))
		pte = pte_mkuffd(pte);
	if (pte_swp_uffd(old) && userfaultfd_rwp(vma))
		pte = pte_modify(pte, PAGE_NONE);
	else if (vma->vm_flags & VM_WRITE && !userfaultfd_pte_wp(vma, pte))
		pte = pte_mkwrite(pte, vma);
	else
		pte = pte_wrprotect(pte);

	flush_icache_pages(vma, &folio->page, 1);
	folio_add_new_anon_rmap(folio, vma, addr, RMAP_EXCLUSIVE);
	folio_add_lru_vma(folio, vma);
	set_pte_at(vma->vm_mm, addr, ptep, pte);
	update_mmu_cache(vma, addr, ptep);
}

/* Pages of one chunk, whose entries are in one page table of one mapping. */
struct window {
	unsigned long addr;
	u64 index;
	unsigned int nr;
};

/*
 * The pages that go with one: those that would stand beside it if both are
 * where they were when they were saved.
 */
static struct window window_around(struct checkpoint_image *image,
				   struct vm_area_struct *vma,
				   unsigned long addr, u64 index,
				   unsigned int size)
{
	unsigned long start = max(vma->vm_start, addr & PMD_MASK);
	unsigned long end = pmd_addr_end(addr, vma->vm_end);
	u64 before = min_t(u64, index & (size - 1), (addr - start) >> PAGE_SHIFT);
	u64 last = min((index | (size - 1)) + 1, image->pages);

	return (struct window) {
		.addr = addr - (before << PAGE_SHIFT),
		.index = index - before,
		.nr = before + min_t(u64, last - index, (end - addr) >> PAGE_SHIFT),
	};
}

/*
 * Brings in those pages of a window that are missing. The mapping is locked and
 * has an anon_vma. -EAGAIN: read_chunk() has to come first.
 */
static int fill(struct checkpoint_image *image, struct vm_area_struct *vma,
		pmd_t *pmd, struct window window, gfp_t gfp)
{
	struct folio *folios[PULL_PAGES] = { };
	unsigned int i, filled = 0;
	u64 missing = 0;
	spinlock_t *ptl = NULL;
	int ret = 0;
	pte_t *pte;

	BUILD_BUG_ON(BITS_PER_TYPE(missing) < PULL_PAGES);
	BUILD_BUG_ON(CHUNK_PAGES % PULL_PAGES || PULL_PAGES % FAULT_PAGES);

	if (!is_checked(image, window.index))
		return -EAGAIN;
	pte = pte_offset_map(pmd, window.addr);
	if (!pte)
		return 0;
	for (i = 0; i < window.nr; i++)
		if (names(ptep_get_lockless(pte + i), image, window.index + i))
			missing |= BIT_ULL(i);
	pte_unmap(pte);

	for (i = 0; i < window.nr && !ret; i++) {
		struct folio *folio;

		if (!(missing & BIT_ULL(i)))
			continue;
		folio = copy_page_of(image, window.index + i, vma,
				     window.addr + i * PAGE_SIZE, gfp);
		if (IS_ERR(folio))
			ret = PTR_ERR(folio);
		else
			folios[i] = folio;
	}

	pte = pte_offset_map_lock(vma->vm_mm, pmd, window.addr, &ptl);
	for (i = 0; pte && i < window.nr; i++) {
		if (!folios[i] ||
		    !names(ptep_get(pte + i), image, window.index + i))
			continue;
		map_page(vma, window.addr + i * PAGE_SIZE, pte + i, folios[i]);
		folios[i] = NULL;
		filled++;
	}
	if (pte) {
		add_mm_counter(vma->vm_mm, MM_ANONPAGES, filled);
		pte_unmap_unlock(pte, ptl);
	}
	for (i = 0; i < window.nr; i++)
		if (folios[i])
			folio_put(folios[i]);
	if (filled)
		put_image(image, filled);
	return ret;
}

/* The image that the entry of a fault names, unless it is gone. */
static struct checkpoint_image *get_image(struct vm_fault *vmf)
{
	struct checkpoint_image *image = NULL;
	spinlock_t *ptl = NULL;
	pte_t *pte;

	pte = pte_offset_map_lock(vmf->vma->vm_mm, vmf->pmd, vmf->address, &ptl);
	if (!pte)
		return NULL;
	if (pte_same(ptep_get(pte), vmf->orig_pte)) {
		image = leaf_image(softleaf_from_pte(vmf->orig_pte));
		atomic_long_inc(&image->refs);
	}
	pte_unmap_unlock(pte, ptl);
	return image;
}

static vm_fault_t fault_in(struct vm_fault *vmf, struct checkpoint_image *image)
{
	struct vm_area_struct *vma = vmf->vma;
	u64 index = leaf_index(softleaf_from_pte(vmf->orig_pte));
	struct window one = { .addr = vmf->address, .index = index, .nr = 1 };
	vm_fault_t major = 0;
	int ret;

	one.addr &= PAGE_MASK;
	ret = fill(image, vma, vmf->pmd,
		   window_around(image, vma, one.addr, index, FAULT_PAGES),
		   GFP_AROUND);
	if (ret == -ENOMEM)
		ret = fill(image, vma, vmf->pmd, one, GFP_HIGHUSER_MOVABLE);
	if (ret == -EAGAIN) {
		major = VM_FAULT_MAJOR;
		count_vm_event(PGMAJFAULT);
		/* It is read without a lock, as filemap_fault() does. */
		if (fault_flag_allow_retry_first(vmf->flags)) {
			if (vmf->flags & FAULT_FLAG_RETRY_NOWAIT)
				return VM_FAULT_RETRY;
			release_fault_lock(vmf);
			/* If that fails, it fails again. */
			read_chunk(image, index);
			return VM_FAULT_RETRY | major;
		}
		ret = read_chunk(image, index) ?:
			fill(image, vma, vmf->pmd, one, GFP_HIGHUSER_MOVABLE);
	}
	switch (ret) {
	case 0:
	case -EAGAIN:
		return major;
	case -ENOMEM:
		return VM_FAULT_OOM;
	default:
		return VM_FAULT_SIGBUS;
	}
}

/* A page is touched. Its page table is neither mapped nor locked. */
vm_fault_t checkpoint_lazy_fault(struct vm_fault *vmf)
{
	struct checkpoint_image *image = get_image(vmf);
	vm_fault_t ret;

	if (!image)
		return 0;
	ret = vmf_anon_prepare(vmf) ?: fault_in(vmf, image);
	put_image(image, 1);
	return ret;
}

struct entry {
	struct checkpoint_image *image;
	unsigned long addr;
	u64 index;
};

static int find_pte(pte_t *pte, unsigned long addr, unsigned long next,
		    struct mm_walk *walk)
{
	softleaf_t leaf = softleaf_from_pte(ptep_get(pte));
	struct entry *entry = walk->private;

	if (!softleaf_is_image(leaf))
		return 0;
	entry->image = leaf_image(leaf);
	entry->addr = addr;
	entry->index = leaf_index(leaf);
	atomic_long_inc(&entry->image->refs);
	return 1;
}

/* A huge page has no entries in it, and is not to be split in search of them. */
static int find_pmd(pmd_t *pmd, unsigned long addr, unsigned long next,
		    struct mm_walk *walk)
{
	spinlock_t *ptl = pmd_trans_huge_lock(pmd, walk->vma);

	walk->action = ptl ? ACTION_CONTINUE : ACTION_SUBTREE;
	if (ptl)
		spin_unlock(ptl);
	return 0;
}

static const struct mm_walk_ops find_ops = {
	.pmd_entry = find_pmd,
	.pte_entry = find_pte,
	.walk_lock = PGWALK_RDLOCK,
};

/*
 * Fills around an entry, and moves on if nothing has to be read. Not further
 * than by that entry: what stands beside it may be of another place.
 */
static int pull_entry(struct mm_struct *mm, const struct entry *entry,
		      unsigned long *start, gfp_t gfp)
{
	struct vm_area_struct *vma = vma_lookup(mm, entry->addr);
	pmd_t *pmd = mm_find_pmd(mm, entry->addr);
	struct window window;
	int ret;

	if (!vma || !pmd)
		return 0;
	window = window_around(entry->image, vma, entry->addr, entry->index,
			       PULL_PAGES);
	ret = anon_vma_prepare(vma) ?: fill(entry->image, vma, pmd, window, gfp);
	if (!ret)
		*start = entry->addr + PAGE_SIZE;
	return ret;
}

/*
 * Brings in some pages from *start on, which moves on. Returns 0 if there are
 * none up to the end, and 1 if there may be more.
 */
static int pull_some(struct mm_struct *mm, unsigned long *start,
		     unsigned long end, gfp_t gfp)
{
	struct entry entry;
	int ret;

	if (*start >= end)
		return 0;
	if (mmap_read_lock_killable(mm))
		return -EINTR;
	ret = walk_page_range(mm, *start, end, &find_ops, &entry);
	if (ret <= 0) {
		mmap_read_unlock(mm);
		return ret;
	}
	*start = entry.addr;
	ret = pull_entry(mm, &entry, start, gfp);
	mmap_read_unlock(mm);
	if (ret == -EAGAIN)
		ret = read_chunk(entry.image, entry.index);
	put_image(entry.image, 1);
	cond_resched();
	return ret ?: 1;
}

/**
 * checkpoint_image_pull - bring in all pages of a range
 * @mm: the address space
 * @start: address of the first
 * @end: address behind the last
 */
int checkpoint_image_pull(struct mm_struct *mm, unsigned long start,
			  unsigned long end)
{
	int ret;

	do {
		ret = pull_some(mm, &start, end, GFP_HIGHUSER_MOVABLE);
	} while (ret > 0 && !fatal_signal_pending(current));
	return ret > 0 ? -EINTR : ret;
}

static int remember(struct checkpoint_image *image, struct mm_struct *mm)
{
	struct space *space;

	if (!list_empty(&image->spaces) &&
	    list_last_entry(&image->spaces, struct space, list)->mm == mm)
		return 0;
	space = kmalloc_obj(*space, GFP_KERNEL_ACCOUNT);
	if (!space)
		return -ENOMEM;
	mmgrab(mm);
	space->mm = mm;
	list_add_tail(&space->list, &image->spaces);
	return 0;
}

static int install_range(struct checkpoint_image *image,
			 struct vm_area_struct *vma, unsigned long addr,
			 unsigned long end, u64 index)
{
	struct mm_struct *mm = vma->vm_mm;
	int ret = anon_vma_prepare(vma);

	if (ret)
		return ret;
	/* Nobody may fault here meanwhile. What did so before has no meaning. */
	vma_start_write(vma);
	zap_vma_range(vma, addr, end - addr);
	while (!ret && addr < end) {
		unsigned long next = pmd_addr_end(addr, end);
		spinlock_t *ptl = NULL;
		pte_t *start_pte = get_locked_pte(mm, addr, &ptl), *pte = start_pte;

		if (!pte)
			return -ENOMEM;
		for (; addr < next; addr += PAGE_SIZE, pte++, index++) {
			if (!pte_none(ptep_get(pte))) {
				ret = -EFAULT;
				break;
			}
			atomic_long_inc(&image->refs);
			set_pte_at(mm, addr, pte,
				   softleaf_to_pte(make_leaf(image, index)));
		}
		pte_unmap_unlock(start_pte, ptl);
		cond_resched();
	}
	return ret;
}

/**
 * checkpoint_image_install - let pages be brought in when they are touched
 * @image: has them
 * @mm: of a task that waits for the restart
 * @start: address of the first
 * @nr: how many there are
 * @index: of the first in the page data, which has all of them
 *
 * Return: of how many pages this was done, less than @nr if memory of another
 * kind comes then; or -EFAULT if no private memory is mapped there
 */
long checkpoint_image_install(struct checkpoint_image *image,
			      struct mm_struct *mm, unsigned long start,
			      unsigned long nr, unsigned long index)
{
	unsigned long end = start + nr * PAGE_SIZE, next, done = 0;
	struct vm_area_struct *vma;
	int ret;

	if (mmap_write_lock_killable(mm))
		return -EINTR;
	ret = remember(image, mm);
	for (; !ret && start < end; start = next) {
		vma = vma_lookup(mm, start);
		if (!vma || !vma_is_cow_mapping(vma)) {
			ret = -EFAULT;
			break;
		}
		if (vma->vm_flags & (VM_SPECIAL | VM_HUGETLB | VM_DROPPABLE))
			break;
		next = min(end, vma->vm_end);
		ret = install_range(image, vma, start, next, index + done);
		done += (next - start) >> PAGE_SHIFT;
	}
	mmap_write_unlock(mm);
	return ret ?: done;
}

/**
 * checkpoint_image_read - copy page data
 * @image: has it
 * @index: of the first page
 * @to: whole pages
 * @nr: how many
 */
int checkpoint_image_read(struct checkpoint_image *image, unsigned long index,
			  const struct bio_vec *to, unsigned int nr)
{
	for (; nr; nr--, index++, to++) {
		struct folio *folio;
		int ret = is_checked(image, index) ? 0 : read_chunk(image, index);

		if (ret)
			return ret;
		folio = image_folio(image, index, true);
		if (IS_ERR(folio))
			return PTR_ERR(folio);
		copy_highpage(to->bv_page, image_page(image, folio, index));
		flush_dcache_page(to->bv_page);
		folio_put(folio);
	}
	return 0;
}

/*
 * The thread brings in what nobody has touched yet. It keeps no address space
 * alive for longer than a few pages take, and gives up when memory is short or
 * the image cannot be read: the rest comes when it is touched, if at all.
 */
static int pull_all(void *data)
{
	struct checkpoint_image *image = data;
	struct space *space;

	set_user_nice(current, MAX_NICE);
	list_for_each_entry(space, &image->spaces, list) {
		unsigned long start = 0;
		int ret = 1;

		while (ret > 0 && mmget_not_zero(space->mm)) {
			ret = pull_some(space->mm, &start, ULONG_MAX & PAGE_MASK,
					GFP_AROUND);
			mmput_async(space->mm);
		}
		if (ret < 0)
			break;
	}
	put_image(image, 1);
	return 0;
}

/**
 * checkpoint_image_start - have all pages brought in that are still missing
 * @image: nothing is installed from it any more
 */
void checkpoint_image_start(struct checkpoint_image *image)
{
	struct task_struct *task;

	atomic_long_inc(&image->refs);
	task = kthread_run(pull_all, image, "restart_lazy");
	if (IS_ERR(task))
		put_image(image, 1);
}
