//go:build !linux

package journal

import (
	"errors"
	"os"
)

func allocate(*os.File, int64) error { return errors.ErrUnsupported }

func lock(*os.File) error { return errors.ErrUnsupported }

func isUnlocked(*os.File) (bool, error) { return false, errors.ErrUnsupported }
