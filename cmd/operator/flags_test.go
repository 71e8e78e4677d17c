package main

import (
	"flag"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/leaderelection"

	"github.com/fluent-credential/operator/api/v1alpha1"
)

// contract are the operator's flags and their defaults: manifests, and people's habits, rely on them.
var contract = map[string]string{
	"kubeconfig":                "",
	"leader-elect":              "true",
	"leader-election-namespace": "",
	"namespaces":                "",
	"metrics-bind-address":      ":8443",
	"metrics-secure":            "true",
	"health-probe-bind-address": ":8081",
	"pprof-bind-address":        "",
	"allowed-hosts":             "",
	"insecure-http":             "false",
	"allowed-target-metadata":   "",
	"journal-dir":               "/var/lib/fluent-credential-operator/journal",
	"journal-size":              "64Mi",
	"max-concurrent-exchanges":  "16",
	"host-rate":                 "0",
}

// registered are the flags as the command line knows them; those of zap are its own.
func registered() (names map[string]string, zap []string) {
	set := flag.NewFlagSet("operator", flag.ContinueOnError)
	(&flags{}).register(set)
	names = map[string]string{}
	set.VisitAll(func(f *flag.Flag) {
		if strings.HasPrefix(f.Name, "zap-") {
			zap = append(zap, f.Name)
		} else {
			names[f.Name] = f.DefValue
		}
	})
	return names, zap
}

func TestFlagsAreTheContract(t *testing.T) {
	got, zap := registered()
	if diff := cmp.Diff(contract, got); diff != "" {
		t.Errorf("(-contract +registered)\n%s", diff)
	}
	if diff := cmp.Diff([]string{"zap-devel", "zap-encoder", "zap-log-level", "zap-stacktrace-level", "zap-time-encoding"}, zap); diff != "" {
		t.Errorf("the flags of zap (-want +got)\n%s", diff)
	}
}

func TestFlagsAreExplained(t *testing.T) {
	set := flag.NewFlagSet("operator", flag.ContinueOnError)
	(&flags{}).register(set)
	set.VisitAll(func(f *flag.Flag) {
		if len(f.Usage) < 10 {
			t.Errorf("--%s is explained as %q", f.Name, f.Usage)
		}
	})
}

func TestFlagsReachWhatTheyAreFor(t *testing.T) {
	t.Setenv("POD_UID", "uid-of-pod")
	t.Setenv("POD_NAMESPACE", "own")
	type reached struct {
		Elect                          bool
		LeaseNamespace, Metrics, Probe string
		Profiles                       string
		Secure, Filtered               bool
		Namespaces                     []string
		Hosts                          []string
		InsecureHTTP                   bool
		Metadata                       []string
		Concurrent, Rate               int
		Pod                            string
		Journal, Namespace             string
		JournalSize                    int64
	}
	defaults := reached{
		Elect: true, Metrics: ":8443", Secure: true, Filtered: true, Probe: ":8081", Concurrent: 16, Pod: "uid-of-pod",
		Journal: "/var/lib/fluent-credential-operator/journal", Namespace: "own",
		JournalSize: 64 << 20,
	}
	tests := map[string]struct {
		why  string
		args string
		want func(*reached)
	}{
		"none":            {"the defaults are for production", "", func(*reached) {}},
		"one replica":     {"for development", "--leader-elect=false", func(r *reached) { r.Elect = false }},
		"lease elsewhere": {"outside a cluster there is no own namespace", "--leader-election-namespace=ops", func(r *reached) { r.LeaseNamespace = "ops" }},
		"namespaces":      {"a comma list", "--namespaces=shop,orders", func(r *reached) { r.Namespaces = []string{"orders", "shop"} }},
		"namespaces with spaces and gaps": {
			"as people write it", "--namespaces= shop , ,orders,", func(r *reached) { r.Namespaces = []string{"orders", "shop"} },
		},
		"namespaces twice":   {"the lists are added", "--namespaces=shop --namespaces=orders", func(r *reached) { r.Namespaces = []string{"orders", "shop"} }},
		"namespaces, none":   {"an empty list is all", "--namespaces=", func(*reached) {}},
		"metrics off":        {"0 turns them off", "--metrics-bind-address=0", func(r *reached) { r.Metrics = "0" }},
		"metrics, plain":     {"for development: no TLS, no authentication", "--metrics-secure=false", func(r *reached) { r.Secure, r.Filtered = false, false }},
		"probes elsewhere":   {"an address", "--health-probe-bind-address=127.0.0.1:9", func(r *reached) { r.Probe = "127.0.0.1:9" }},
		"profiles":           {"off unless somebody asks for them", "--pprof-bind-address=127.0.0.1:6060", func(r *reached) { r.Profiles = "127.0.0.1:6060" }},
		"hosts":              {"a comma list of patterns", "--allowed-hosts=*.api.fluentretail.com,10.0.0.7", func(r *reached) { r.Hosts = []string{"*.api.fluentretail.com", "10.0.0.7"} }},
		"hosts of IPv6":      {"an address", "--allowed-hosts=fd00::7", func(r *reached) { r.Hosts = []string{"fd00::7"} }},
		"metadata":           {"a comma list of domains", "--allowed-target-metadata=argocd.argoproj.io,*.example.com", func(r *reached) { r.Metadata = []string{"argocd.argoproj.io", "*.example.com"} }},
		"metadata of all":    {"as it was without the flag", "--allowed-target-metadata=*", func(r *reached) { r.Metadata = []string{"*"} }},
		"journal elsewhere":  {"a volume of one's own", "--journal-dir=/journal", func(r *reached) { r.Journal = "/journal" }},
		"no journal":         {"empty turns it off", "--journal-dir=", func(r *reached) { r.Journal = "" }},
		"a larger journal":   {"as large as its volume", "--journal-size=1Gi", func(r *reached) { r.JournalSize = 1 << 30 }},
		"http":               {"for development", "--insecure-http", func(r *reached) { r.InsecureHTTP = true }},
		"one at a time":      {"the least", "--max-concurrent-exchanges=1", func(r *reached) { r.Concurrent = 1 }},
		"thirty a minute":    {"for an API that counts", "--host-rate=30", func(r *reached) { r.Rate = 30 }},
		"with a single dash": {"as the flag package has it", "-host-rate=30", func(r *reached) { r.Rate = 30 }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			flags, err := parse(split(test.args))
			if err != nil {
				t.Fatal(err)
			}
			manager, controller := flags.managerOptions(), flags.controllerOptions()
			got := reached{
				Elect: manager.LeaderElection, LeaseNamespace: manager.LeaderElectionNamespace,
				Metrics: manager.Metrics.BindAddress, Secure: manager.Metrics.SecureServing, Filtered: manager.Metrics.FilterProvider != nil,
				Probe: manager.HealthProbeBindAddress, Profiles: manager.PprofBindAddress, Namespaces: slices.Sorted(maps.Keys(manager.Cache.DefaultNamespaces)),
				Hosts: controller.Policy.AllowedHosts, InsecureHTTP: controller.Policy.InsecureHTTP, Metadata: controller.TargetMetadata,
				Concurrent: controller.MaxConcurrentExchanges, Rate: controller.HostRate, Pod: controller.PodUID,
				Journal: controller.JournalDir, Namespace: controller.Namespace, JournalSize: controller.JournalSize,
			}
			want := defaults
			test.want(&want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s (-want +got)\n%s", test.args, test.why, diff)
			}
		})
	}
}

// split is a command line as a shell would split it, with the quotes already gone: at spaces before a dash.
func split(line string) []string {
	var args []string
	for part := range strings.SplitSeq(" "+line, " -") {
		if part = strings.TrimSpace(part); part != "" {
			args = append(args, "-"+part)
		}
	}
	return args
}

func TestBadValuesAreRefused(t *testing.T) {
	tests := map[string]struct {
		why  string
		args []string
		says string
	}{
		"an unknown flag":         {"a typo must not pass", []string{"--hostrate=3"}, "-hostrate"},
		"an argument":             {"there are none", []string{"start"}, `unexpected argument "start"`},
		"after the flags":         {"there are none", []string{"--leader-elect", "false"}, `unexpected argument "false"`},
		"no number":               {"the flag is named", []string{"--host-rate=many"}, "-host-rate"},
		"a rate below zero":       {"the flag and the bound are named", []string{"--host-rate=-1"}, "--host-rate must be 0 or more, not -1"},
		"no exchanges at all":     {"the flag and the bound are named", []string{"--max-concurrent-exchanges=0"}, "--max-concurrent-exchanges must be 1 or more, not 0"},
		"fewer than none":         {"the flag and the bound are named", []string{"--max-concurrent-exchanges=-3"}, "--max-concurrent-exchanges must be 1 or more, not -3"},
		"a small journal":         {"it has no room for several namespaces", []string{"--journal-size=1Mi"}, "--journal-size must be 8Mi or more, not 1Mi"},
		"a size without sense":    {"the flag is named", []string{"--journal-size=some"}, "-journal-size"},
		"neither true nor false":  {"the flag is named", []string{"--leader-elect=maybe"}, "-leader-elect"},
		"no level":                {"the flag is named", []string{"--zap-log-level=loud"}, "-zap-log-level"},
		"a pattern of a URL":      {"it matches no host", []string{"--allowed-hosts=https://acme.example"}, "--allowed-hosts"},
		"a pattern with a port":   {"it matches no host", []string{"--allowed-hosts=acme.example:443"}, "--allowed-hosts"},
		"a pattern with a path":   {"it matches no host", []string{"--allowed-hosts=acme.example/oauth"}, "--allowed-hosts"},
		"a pattern of brackets":   {"it is no pattern", []string{"--allowed-hosts=[a-"}, "--allowed-hosts"},
		"a pattern among others":  {"it is named", []string{"--allowed-hosts=*.example,[a-"}, `"[a-"`},
		"metadata by its key":     {"a domain is meant", []string{"--allowed-target-metadata=argocd.argoproj.io/secret-type"}, "--allowed-target-metadata"},
		"metadata in capitals":    {"no domain has them", []string{"--allowed-target-metadata=Example.com"}, `"Example.com"`},
		"metadata by a pattern":   {"a whole label is a star", []string{"--allowed-target-metadata=argo*.io"}, "--allowed-target-metadata"},
		"a duration for a number": {"the flag is named", []string{"--host-rate=30/m"}, "-host-rate"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := parse(test.args)
			if err == nil {
				t.Fatalf("%q is accepted: %s", test.args, test.why)
			}
			if !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%q says %q, want %q: %s", test.args, err, test.says, test.why)
			}
		})
	}
}

// TestHelp asks this very program for help, in a process of its own.
func TestHelp(t *testing.T) {
	if os.Getenv("ASK_FOR_HELP") != "" {
		_, _ = parse([]string{"--help"})
		os.Exit(3) // parse ends the process, and does not come back
	}
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHelp$")
	command.Env = append(os.Environ(), "ASK_FOR_HELP=yes")
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("help is no failure: %v\n%s", err, out)
	}
	names, _ := registered()
	for name := range names {
		if !strings.Contains(string(out), "-"+name) {
			t.Errorf("--%s is not explained", name)
		}
	}
}

// TestManagerOptions holds what no flag changes.
func TestManagerOptions(t *testing.T) {
	flags, err := parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	options := flags.managerOptions()
	if !options.LeaderElectionReleaseOnCancel || options.LeaderElectionID == "" {
		t.Error("a replica that stops hands over at once")
	}
	longest := *options.RetryPeriod + time.Duration(leaderelection.JitterFactor*float64(*options.RetryPeriod))
	if 2*longest >= time.Second { // to see the last renewal, and to see that it is too old
		t.Errorf("after a leader that was killed, nobody may lead for %s beyond the lease", 2*longest)
	}
	if *options.RenewDeadline+renewal >= *options.LeaseDuration {
		t.Errorf("a leader that cannot write its lease any more leads for %s, and another one after %s",
			*options.RenewDeadline+renewal, *options.LeaseDuration)
	}
	if options.GracefulShutdownTimeout == nil || *options.GracefulShutdownTimeout < time.Minute {
		t.Error("SIGTERM waits for an exchange and its commit")
	}
	if !options.Cache.ReaderFailOnMissingInformer {
		t.Error("a read must not start a watch on whole Secrets")
	}
	if !options.Scheme.Recognizes(v1alpha1.GroupVersion.WithKind("FluentCredential")) {
		t.Error("the scheme has no FluentCredential")
	}
}

func TestOwnNamespace(t *testing.T) {
	tests := map[string]struct {
		why, environment, args, want string
	}{
		"told":           {"the manifest tells", "own", "", "own"},
		"told, twice":    {"the pod's own, wherever the lease is", "own", "--leader-election-namespace=ops", "own"},
		"not told":       {"outside a cluster the lease's will do", "", "--leader-election-namespace=ops", "ops"},
		"not told, ever": {"it is not known", "", "", ""},
	}
	if _, err := os.Stat(serviceAccountNamespace); err == nil {
		t.Skip("these tests run in a pod, which has a namespace")
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("POD_NAMESPACE", test.environment)
			flags, err := parse(split(test.args))
			if err != nil {
				t.Fatal(err)
			}
			if got := flags.controllerOptions().Namespace; got != test.want {
				t.Errorf("%q, want %q: %s", got, test.want, test.why)
			}
		})
	}
}

// TestProxyOfTheEnvironment: the operator does not start with a proxy that it cannot use, and does not repeat what may be a password.
func TestProxyOfTheEnvironment(t *testing.T) {
	t.Setenv("NO_PROXY", "internal.example")
	for value, wrong := range map[string]string{
		"": "", "http://proxy.example:3128": "", "https://user:hidden@proxy.example": "", "proxy.example:3128": "",
		"socks5://user:hidden@proxy.example": "the scheme socks5 is not supported",
		"http://user:hidden@proxy.example:x": "HTTPS_PROXY is not the URL of a proxy",
	} {
		t.Setenv("HTTPS_PROXY", value)
		f, err := parse(nil)
		if wrong != "" {
			if err == nil || !strings.Contains(err.Error(), wrong) || strings.Contains(err.Error(), "hidden") {
				t.Errorf("HTTPS_PROXY=%s: %v, want %s", value, err, wrong)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		proxy := f.controllerOptions().Proxy
		for endpoint, proxied := range map[string]bool{
			"https://login.example/token": value != "", "https://internal.example/token": false, "https://127.0.0.1/token": false,
		} {
			target, _ := url.Parse(endpoint)
			if chosen, err := proxy(target); err != nil || (chosen != nil) != proxied {
				t.Errorf("HTTPS_PROXY=%s: %s is reached through %v, %v", value, endpoint, chosen != nil, err)
			}
		}
	}
}
