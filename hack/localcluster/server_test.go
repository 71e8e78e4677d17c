package localcluster

import (
	"strings"
	"testing"
)

func TestAServerSaysWhereItServes(t *testing.T) {
	for why, test := range map[string]struct {
		script, url, version string
		before, after        string // in the log
	}{
		"its URL, and nothing else":     {script: "echo http://127.0.0.1:1; exec sleep 1000", url: "http://127.0.0.1:1"},
		"its version too":               {script: "echo http://127.0.0.1:1 v1.2; exec sleep 1000", url: "http://127.0.0.1:1", version: "v1.2"},
		"what it says first is logged":  {script: "echo welcome; echo http://127.0.0.1:1; exec sleep 1000", url: "http://127.0.0.1:1", before: "welcome"},
		"what it says later is too":     {script: "echo http://127.0.0.1:1; echo more; exec sleep 1000", url: "http://127.0.0.1:1", after: "more"},
		"a line on stderr is no banner": {script: "echo http://no >&2; echo http://127.0.0.1:1; exec sleep 1000", url: "http://127.0.0.1:1", before: "http://no"},
	} {
		t.Run(why, func(t *testing.T) {
			server, err := bareCluster(t).StartServer(ServerProgram{Name: "sh", Path: "sh", Args: []string{"-c", test.script}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = server.Stop() })
			if server.URL != test.url || server.Version != test.version {
				t.Errorf("it serves on %q in version %q, want %q, %q", server.URL, server.Version, test.url, test.version)
			}
			awaitLog(t, server.Process, test.before+test.after)
		})
	}
}

func TestAServerThatEndsSaysWhy(t *testing.T) {
	_, err := bareCluster(t).StartServer(ServerProgram{Name: "sh", Path: "sh", Args: []string{"-c", "echo no such module; exit 1"}})
	if err == nil || !strings.Contains(err.Error(), "sh does not serve") || !strings.Contains(err.Error(), "no such module") {
		t.Errorf("StartServer says %v", err)
	}
}

func TestAKilledProcessIsGone(t *testing.T) {
	process, err := bareCluster(t).launch(shell("trap '' TERM; echo up; while :; do sleep 0.01; done"))
	if err != nil {
		t.Fatal(err)
	}
	awaitLog(t, process, "up")
	process.Terminate()
	process.Kill()
	if !process.over() {
		t.Error("it is still there")
	}
}
