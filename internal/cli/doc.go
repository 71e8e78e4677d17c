// Package cli is kubectl fluent: what an administrator sees of the credentials of a cluster, and does about them.
//
// Every command is a file of its own and reads the same way: flags into a struct, a session that talks to the cluster, a judgement
// that is a value, and a printer. What is printed is for people unless -o json or -o yaml asks for data.
//
// A secret is never taken from the command line, where other users and the shell's history could see it, and never printed.
package cli
