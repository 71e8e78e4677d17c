package main

import "golang.org/x/sys/unix"

func mountTmpfs(dir, size string) error {
	return unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size+",mode=700")
}

func remountTmpfs(dir string, readOnly bool) error {
	flags := uintptr(unix.MS_REMOUNT)
	if readOnly {
		flags |= unix.MS_RDONLY
	}
	return unix.Mount("tmpfs", dir, "tmpfs", flags, "size="+roomyDisk+",mode=700")
}

// unmount detaches the file system, whoever still has a file of it open.
func unmount(dir string) error { return unix.Unmount(dir, unix.MNT_DETACH) }
