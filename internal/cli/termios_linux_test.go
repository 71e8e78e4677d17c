package cli

import "golang.org/x/sys/unix"

// readTermios reads the settings of a terminal.
const readTermios = unix.TCGETS
