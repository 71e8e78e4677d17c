package journal

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// allocate reserves blocks, without writing them.
func allocate(file *os.File, size int64) error {
	for {
		err := unix.Fallocate(int(file.Fd()), 0, 0, size)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EINVAL):
			return fmt.Errorf("fallocate: %w", errors.ErrUnsupported)
		}
		return &os.PathError{Op: "fallocate", Path: file.Name(), Err: err}
	}
}

// localFileSystems are the file systems on which the kernel keeps a lock for exactly as long as the file is open. On a
// network file system a lock can be lost while its process lives.
var localFileSystems = []int64{
	unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC,
	unix.TMPFS_MAGIC, unix.OVERLAYFS_SUPER_MAGIC,
	zfsMagic,
}

const zfsMagic = 0x2fc12fc1

func isLocal(file *os.File) error {
	var about unix.Statfs_t
	if err := unix.Fstatfs(int(file.Fd()), &about); err != nil {
		return os.NewSyscallError("fstatfs", err)
	}
	if !slices.Contains(localFileSystems, int64(about.Type)) { //nolint:unconvert // it is 32 bits wide on some machines
		return fmt.Errorf("locks of this file system: %w", errors.ErrUnsupported)
	}
	return nil
}

func lock(file *os.File) error {
	if err := isLocal(file); err != nil {
		return err
	}
	return os.NewSyscallError("flock", flock(file, unix.LOCK_EX))
}

// isUnlocked takes a shared lock for a moment: two processes that check at once do not take each other for the owner.
func isUnlocked(file *os.File) (bool, error) {
	if err := isLocal(file); err != nil {
		return false, err
	}
	err := flock(file, unix.LOCK_SH)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, os.NewSyscallError("flock", err)
}

func flock(file *os.File, how int) error {
	for {
		err := unix.Flock(int(file.Fd()), how|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
