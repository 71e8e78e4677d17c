//go:build !linux

package main

import "errors"

// What takes Linux: the scenarios that need it fail, and say so.
var errNotLinux = errors.New("this takes Linux")

func traceIfAsked() {}

func mountTmpfs(string, string) error { return errNotLinux }

func remountTmpfs(string, bool) error { return errNotLinux }

func unmount(string) error { return errNotLinux }
