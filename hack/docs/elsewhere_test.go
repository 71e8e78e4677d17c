package docs

import "regexp"

// exemption is a kind of command that no story runs.
type exemption struct {
	page    string // the only one it holds for; empty: all
	command *regexp.Regexp
	why     string
	proof   string // a test as directory.TestName, a step of .ci/run after "CI: ", or "nothing: …"
}

// elsewhere is what cannot be run against a control plane of this machine alone. A command that is not in it has to be in a story.
var elsewhere = []exemption{
	{command: regexp.MustCompile(`^make demo\b`), why: "it is a cluster of its own, for a terminal", proof: "CI: make demo"},
	{command: regexp.MustCompile(`^make test$`), why: "this test is a part of it", proof: "CI: make test"},
	{command: regexp.MustCompile(`^make build-installer`), why: "it writes into the repository", proof: "CI: make verify"},
	{command: regexp.MustCompile(`^make image`), why: "it takes minutes", proof: "CI: make image"},
	{command: regexp.MustCompile(`^make chaos`), why: "it takes minutes", proof: "CI: make chaos"},
	{command: regexp.MustCompile(`^make conformance`), why: "it needs servers that are installed", proof: "CI: make conformance"},
	{command: regexp.MustCompile(`^make mutants`), why: "it takes minutes", proof: "mutants.TestEveryMutationApplies"},
	{command: regexp.MustCompile(`^make (node|e2e|node-check|node-clean)\b`), why: "it needs root, and a machine that can be a node", proof: "CI: on a real node"},
	{command: regexp.MustCompile(`^make deploy`), why: "its image cannot run without a node; what it applies is what dist/install.yaml holds", proof: "install.TestOperatorWithItsRights"},
	{command: regexp.MustCompile(`^make plugin\b`), why: "it writes into bin; the stories run the same program", proof: "CI: make build"},
	{command: regexp.MustCompile(`^install bin/`), why: "it installs on this machine", proof: "cli.TestKubectlFindsThePlugin"},
	{command: regexp.MustCompile(`^make docker-build|^docker `), why: "it needs a container engine and a registry", proof: "nothing: where there is none, make image makes the same program's image, and CI runs it"},
	{command: regexp.MustCompile(`^(skopeo|ctr) `), why: "it needs a registry, or containerd", proof: "e2e.TestE2E"},
	{command: regexp.MustCompile(`^apt-get install `), why: "it changes this machine", proof: "CI: apt-get install"},
	{command: regexp.MustCompile(`rollout status|^kubectl .*\blogs\b`), why: "it needs a node that runs pods", proof: "e2e.TestE2E"},
	{command: regexp.MustCompile(`^helm |namespace fluent-credential-system`), why: "it is another way to install, in another cluster", proof: "install.TestChartLifecycle"},
	{page: "docs/what-you-see.md", command: regexp.MustCompile(`.`), why: "the page is written, and compared, where its faults are staged under a Prometheus",
		proof: "alerting.TestAlertsFireAndResolve"},
	{command: regexp.MustCompile(`^kubectl fluent login (orders|bank) -n shop( --authorization-url .*| --remove-password --wait)?$`), why: "it asks on a terminal", proof: "cli.TestLoginOnATerminal"},
}

// excuse finds the row that a command is in.
func excuse(page string, shown command) (exemption, bool) {
	for _, row := range elsewhere {
		if (row.page == "" || row.page == page) && row.command.MatchString(shown.text) {
			return row, true
		}
	}
	return exemption{}, false
}

func (e exemption) used(pages map[string][]command) bool {
	for page, shown := range pages {
		for _, command := range shown {
			if (e.page == "" || e.page == page) && e.command.MatchString(command.text) {
				return true
			}
		}
	}
	return false
}
