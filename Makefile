# Everything here works on a fresh clone with Go, git and make: each tool is built from a module that is pinned in
# hack/tools, and the control plane that tests and the demo run against from the one in hack/devcluster.
# "make help" lists the targets.

GO      ?= go
KUBECTL ?= kubectl

# IMG is the image that "docker-build" makes and that "build-installer" and "deploy" put into the manifests.
IMG ?= fluent-credential-operator:latest

# VERSION is what the binaries report.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)

# GOTESTFLAGS is handed to "go test" as it is: make test GOTESTFLAGS='-run TestRotation -v'
GOTESTFLAGS ?=

# SEEDS is how many seeds "simulate" runs, SEED the first of them: a failing one is replayed with SEED=… SEEDS=1.
SEEDS ?= 100000
LONG_SEEDS ?= 5000
SEED  ?= 1

# FUZZTIME is how long "fuzz" spends on each target: a time, or a number of inputs as in 10000x.
FUZZTIME ?= 10s

# BENCHFLAGS is handed to the benchmark: make bench BENCHFLAGS='--credentials 100 --quick --json figures.json'
BENCHFLAGS ?=

# ALERTFLAGS is handed to "alerts-e2e": make alerts-e2e ALERTFLAGS=-record writes what it saw into the documentation.
ALERTFLAGS ?=
# CONFORMANCEFLAGS is handed to the conformance run: make conformance CONFORMANCEFLAGS='--only fosite --quick'
CONFORMANCEFLAGS ?=

# E2EFLAGS is handed to the end-to-end tests: make e2e E2EFLAGS='-run TestE2E/journal' or E2EFLAGS=-rotations=20
E2EFLAGS ?=
# CHAOSFLAGS is handed to the chaos run: make chaos CHAOSFLAGS='--only F5,F7 --rounds 3'
CHAOSFLAGS ?=

# MUTANTSFLAGS is handed to the mutation run: make mutants MUTANTSFLAGS='--only "the back-off"', --quick, --list, --seeds 500
MUTANTSFLAGS ?=

# KUBEBUILDER_ASSETS is the directory of etcd, kube-apiserver and kubectl. Whoever has it set already keeps what is
# there, and nothing is built.
KUBEBUILDER_ASSETS ?= $(CURDIR)/bin/k8s
override KUBEBUILDER_ASSETS := $(abspath $(KUBEBUILDER_ASSETS))

# Version stamping from git is left out (-buildvcs=false): it fails where the checkout belongs to another user, as in
# many a CI container. VERSION carries the revision. No -trimpath either, so that what is compiled here serves the tests.
GOBUILD := $(GO) build -buildvcs=false -ldflags '-X main.version=$(VERSION)'

# The modules beside the main one that hold code of ours; those of hack/tools hold none.
MODULES := hack/devcluster hack/image hack/dashboards hack/conformance/go-oauth2 hack/conformance/fosite

# What "generate", "manifests" and "build-installer" write, and nobody edits.
GENERATED := ':(glob)api/**/zz_generated.*.go' ':(glob)api/**/applyconfiguration/**' \
	config/crd/bases config/rbac/role.yaml config/rbac/delivery_role.yaml dist/install.yaml dist/chart/files docs/metrics.md docs/reference.md

CONTROLLER_GEN := bin/tools/controller-gen
GOLANGCI_LINT  := bin/tools/golangci-lint
HELM           := bin/tools/helm
KUSTOMIZE      := bin/tools/kustomize
PROMETHEUS     := bin/tools/prometheus
PROMTOOL       := bin/tools/promtool

# One target at a time: the later ones read what the earlier ones write, and the go command uses every core by itself.
.NOTPARALLEL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

ifneq ($(filter-out help clean,$(MAKECMDGOALS)),)
ifeq ($(shell $(GO) env GOVERSION 2>/dev/null),)
$(error "$(GO)" does not run. Install the Go release that go.mod names, or a newer one, from https://go.dev/dl/)
endif
endif

##@ Try it

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} \
		/^##@ / {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: k8s build ## Rotate a credential against a simulated API, on a control plane of its own
	@$(GO) build -buildvcs=false -o bin/demo ./hack/demo
	@exec env KUBEBUILDER_ASSETS='$(KUBEBUILDER_ASSETS)' bin/demo

.PHONY: node
node: node-programs ## Run a cluster with one real node on this machine, as root, until Ctrl-C
	@exec bin/node -assets '$(KUBEBUILDER_ASSETS)'

.PHONY: node-clean
node-clean: ## Remove what a killed "make node" or "make e2e" left
	@$(GO) build -buildvcs=false -o bin/node ./hack/node
	@bin/node clean

.PHONY: node-check
node-check: ## Say whether this machine can run a node, and what is missing
	@$(GO) build -buildvcs=false -o bin/node ./hack/node
	@bin/node check

##@ Build

.PHONY: build
build: plugin ## Build the operator, kubectl fluent and the simulated authorization server into bin/
	$(GOBUILD) -o bin/fluent-credential-operator ./cmd/operator
	$(GOBUILD) -o bin/authsim ./hack/authsim/cmd/authsim

.PHONY: plugin
plugin: ## Build kubectl fluent, a plugin of kubectl, and its completion into bin/
	$(GOBUILD) -o bin/kubectl-fluent ./cmd/kubectl-fluent
	@install -m 755 cmd/kubectl-fluent/kubectl_complete-fluent bin/

.PHONY: krew
krew: k8s bin/tools/krew ## Build kubectl fluent for all platforms, and its krew manifest, into dist/krew (VERSION=v0.1.0)
	$(GO) run -buildvcs=false ./hack/krew -version '$(VERSION)' -out dist/krew
	$(GO) test ./hack/krew -count=1 -run '^TestKrewInstallsEveryPlatform$$' -args \
		-release='$(CURDIR)/dist/krew' -tools='$(CURDIR)/bin/tools' -kubectl='$(KUBEBUILDER_ASSETS)/kubectl'

.PHONY: k8s
k8s: ## Build etcd, kube-apiserver and kubectl into bin/k8s (minutes the first time, then nothing)
	@cd hack/devcluster && GO='$(GO)' $(GO) run -buildvcs=false . -o '$(CURDIR)/bin/k8s'

# The same programs of the oldest Kubernetes that is supported: hack/devcluster/oldest.mod names it.
.PHONY: k8s-oldest
k8s-oldest:
	@cd hack/devcluster && GO='$(GO)' KUBEBUILDER_ASSETS= $(GO) run -buildvcs=false . -modfile oldest.mod -o '$(CURDIR)/bin/k8s-oldest'

.PHONY: docker-build
docker-build: ## Build the image IMG with docker
	docker build --build-arg VERSION='$(VERSION)' -t '$(IMG)' .

# The image holds nothing that differs from one machine to the next, so its digest tells what it was built from.
IMAGE = cd hack/image && GO='$(GO)' $(GO) run -buildvcs=false . -version '$(VERSION)'

.PHONY: image
image: ## Build the image IMG for amd64 and arm64 as an OCI archive in dist/, without docker
	@$(IMAGE) -package ./cmd/operator -program fluent-credential-operator -name '$(IMG)' \
		-o '$(CURDIR)/dist/fluent-credential-operator.tar'

# Images for this machine only, of what "node" and "e2e" need beside the operator.
IMAGE_HERE = $(IMAGE) -platforms linux/$(shell $(GO) env GOARCH)

.PHONY: node-programs
node-programs: k8s
	@cd hack/devcluster && GO='$(GO)' $(GO) run -buildvcs=false . -set node -o '$(CURDIR)/bin/k8s'
	@$(IMAGE_HERE) -package ./hack/pause -name localhost/pause:1 -o '$(CURDIR)/bin/images/pause.tar'
	@$(GO) build -buildvcs=false -o bin/node ./hack/node

# The revision that hack/e2e/testdata/former.yaml is from, whose operator the tests upgrade. A checkout without its history has to do
# with today's operator under the former manifests.
FORMER := bdd7e76

.PHONY: former-image
former-image:
	@rm -rf bin/former && mkdir -p bin/former; source='$(CURDIR)'; \
	if git cat-file -e '$(FORMER)^{commit}' 2>/dev/null; then git archive '$(FORMER)' | tar -x -C bin/former && source='$(CURDIR)/bin/former'; \
	else echo 'The history is not here: the former operator is the one of today.'; fi; \
	$(IMAGE_HERE) -source "$$source" -package ./cmd/operator -program fluent-credential-operator -version '$(FORMER)' \
		-name localhost/fluent-credential-operator:former -o '$(CURDIR)/bin/images/former.tar' && rm -rf '$(CURDIR)/bin/former'

.PHONY: e2e-images
e2e-images: former-image
	@$(IMAGE_HERE) -package ./cmd/operator -program fluent-credential-operator -name fluent-credential-operator:latest \
		-o '$(CURDIR)/bin/images/fluent-credential-operator.tar'
	@$(IMAGE_HERE) -package ./hack/authsim/cmd/authsim -name localhost/authsim:1 -o '$(CURDIR)/bin/images/authsim.tar'
	@$(IMAGE_HERE) -package ./hack/e2e/consumer/cmd/consumer -name localhost/consumer:1 -o '$(CURDIR)/bin/images/consumer.tar'

.PHONY: clean
clean: ## Remove everything that was built
	rm -rf bin cover.out hack/conformance/*/node_modules

##@ Test

# What tests need is built before them: a build takes minutes on a new machine, and must not count against the time limit of a test. The
# limit is that of a package, on a slow machine that does other work as well.
GOTEST := $(GO) test -timeout=30m $(GOTESTFLAGS)
TESTPROGRAMS := $(CURDIR)/bin/test

.PHONY: test-programs
test-programs: $(HELM) $(KUSTOMIZE)
	@echo "building the programs that the tests start into bin/test"
	@$(GO) build -buildvcs=false ./...
	@mkdir -p bin/test
	@$(GO) build -buildvcs=false -ldflags '-X main.version=v0.1.0' -o bin/test/fluent-credential-operator ./cmd/operator
	@$(GO) build -buildvcs=false -ldflags '-X main.version=v0.1.0' -o bin/test/kubectl-fluent ./cmd/kubectl-fluent

.PHONY: test
test: k8s test-programs ## Run every test (GOTESTFLAGS adds flags)
	KUBEBUILDER_ASSETS='$(KUBEBUILDER_ASSETS)' TESTPROGRAMS='$(TESTPROGRAMS)' $(GOTEST) ./...
	cd hack/devcluster && $(GOTEST) .
	cd hack/dashboards && $(GOTEST) .
	cd hack/image && $(GOTEST) .

.PHONY: test-oldest
test-oldest: k8s-oldest test-programs ## Run every test against the oldest Kubernetes that is supported (GOTESTFLAGS adds flags)
	KUBEBUILDER_ASSETS='$(CURDIR)/bin/k8s-oldest' TESTPROGRAMS='$(TESTPROGRAMS)' $(GOTEST) ./...

.PHONY: test-race
test-race: k8s test-programs ## Run every test under the race detector (needs a C compiler)
	KUBEBUILDER_ASSETS='$(KUBEBUILDER_ASSETS)' TESTPROGRAMS='$(TESTPROGRAMS)' CGO_ENABLED=1 $(GOTEST) -race ./...

# The go command fuzzes one target at a time. An input that fails is written to testdata/fuzz, from where every test run takes it.
.PHONY: fuzz
fuzz: ## Fuzz the parsers of replies, state, login guard, journal and endpoints, FUZZTIME each, from the corpora under testdata/fuzz
	@for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' api cmd controllers internal | xargs -n1 dirname | sort -u); do \
		targets=$$($(GO) test "./$$dir" -list '^Fuzz' | grep '^Fuzz') || exit 1; \
		for target in $$targets; do \
			echo "fuzz $$dir $$target"; \
			$(GO) test "./$$dir" -run '^$$' -fuzz "^$$target\$$" -fuzztime '$(FUZZTIME)' -fuzzminimizetime 100x || exit 1; \
		done; \
	done

.PHONY: simulate
simulate: ## Run SEEDS seeds of the simulation on all cores, from SEED on; a failing one is shrunk and told
	@$(GO) test ./controllers/simulation -run '^TestSeeds$$' -count=1 -timeout=0 -v -args -seeds=$(SEEDS) -seed=$(SEED)

# What the mutated sources are built from is the work tree, so it stays as it is while this runs.
.PHONY: mutants
mutants: k8s ## Apply deliberate mistakes to the source, one at a time, and see which test finds each (MUTANTSFLAGS=--quick)
	@$(GO) build -buildvcs=false -o bin/mutants ./test/mutants
	@exec env KUBEBUILDER_ASSETS='$(KUBEBUILDER_ASSETS)' GO='$(GO)' bin/mutants $(MUTANTSFLAGS)

.PHONY: simulate-long
simulate-long: ## Run LONG_SEEDS seeds of the simulation in which things go wrong for ten times as long, from SEED on
	@$(GO) test ./controllers/simulation -run '^TestSeeds$$' -count=1 -timeout=0 -v -args -long -seeds=$(LONG_SEEDS) -seed=$(SEED)

# Each night has seeds of its own: SEED is the date, followed by zeros.
.PHONY: nightly
nightly: ## Run what is too long for CI, some hours: new seeds, mutations, fuzzing, chaos, conformance, a node (root)
	@$(MAKE) --no-print-directory simulate SEED=$$(date +%Y%m%d)000000
	@$(MAKE) --no-print-directory simulate-long SEED=$$(date +%Y%m%d)500000
	@$(MAKE) --no-print-directory mutants
	@$(MAKE) --no-print-directory fuzz FUZZTIME=5m
	@$(MAKE) --no-print-directory chaos conformance e2e

# DAYS is the file that "simulate-days" writes its table into.
DAYS ?= bin/days.md

.PHONY: simulate-days
simulate-days: ## Let every lasting fault of the simulation last for a day, and write what was measured into DAYS
	@mkdir -p '$(dir $(DAYS))'
	@$(GO) test ./controllers/simulation -run '^TestDays$$' -count=1 -timeout=0 -args -day='$(abspath $(DAYS))'
	@cat '$(DAYS)'

.PHONY: alerts-test
alerts-test: $(PROMTOOL) ## Unit-test the alerts of config/prometheus with promtool
	$(GO) test $(GOTESTFLAGS) ./hack/alerting -args -promtool='$(CURDIR)/$(PROMTOOL)'

# The test looks for the operator and the authorization server beside itself, as everything does that uses hack/localcluster.
.PHONY: alerts-e2e
alerts-e2e: k8s build $(PROMETHEUS) ## Stage an outage under a real Prometheus: the alerts fire and resolve, the dashboards show it
	@$(GO) test -c -buildvcs=false -o bin/alerting.test ./hack/alerting
	@cd hack/alerting && exec env KUBEBUILDER_ASSETS='$(KUBEBUILDER_ASSETS)' \
		'$(CURDIR)/bin/alerting.test' -test.run='^TestAlertsFireAndResolve$$' -test.v -prometheus='$(CURDIR)/$(PROMETHEUS)' $(ALERTFLAGS)

.PHONY: e2e
e2e: node-programs e2e-images $(HELM) ## Install the operator on a real node and test it there, as root (E2EFLAGS adds flags)
	KUBEBUILDER_ASSETS='$(KUBEBUILDER_ASSETS)' $(GO) test -tags e2e -count=1 -timeout=10m -v ./hack/nodecluster
	KUBEBUILDER_ASSETS='$(KUBEBUILDER_ASSETS)' $(GO) test -tags e2e -count=1 -timeout=110m -v ./hack/e2e $(E2EFLAGS)

.PHONY: bench
bench: k8s build ## Measure rotations against the control plane, some minutes (BENCHFLAGS=--quick: fewer)
	@$(GO) build -buildvcs=false -o bin/bench ./hack/bench
	@exec env KUBEBUILDER_ASSETS='$(KUBEBUILDER_ASSETS)' bin/bench $(BENCHFLAGS)

.PHONY: bench-scale
bench-scale: k8s build ## Measure up to 50,000 credentials, half an hour (BENCHFLAGS='--only rate', --quick); the figures go to docs/benchmark
	@$(GO) build -buildvcs=false -o bin/bench ./hack/bench
	@exec env KUBEBUILDER_ASSETS='$(KUBEBUILDER_ASSETS)' bin/bench --scale $(BENCHFLAGS)

.PHONY: conformance
conformance: k8s build ## Hold the operator against third-party authorization servers (CONFORMANCEFLAGS=--quick: a short pass)
	@$(GO) build -buildvcs=false -o bin/conformance ./hack/conformance
	@exec env KUBEBUILDER_ASSETS='$(KUBEBUILDER_ASSETS)' GO='$(GO)' bin/conformance $(CONFORMANCEFLAGS)

.PHONY: chaos
chaos: k8s build ## Play every fault against the operator, a quarter of an hour; root (CHAOSFLAGS='--only F5,F7', --quick)
	@$(GO) build -buildvcs=false -o bin/chaos ./hack/chaos
	@exec env KUBEBUILDER_ASSETS='$(KUBEBUILDER_ASSETS)' bin/chaos $(CHAOSFLAGS)

##@ Develop

.PHONY: generate
generate: $(CONTROLLER_GEN) ## Write the deep copies and the apply configurations of the API, and the table of metrics
	$(CONTROLLER_GEN) object:headerFile=hack/boilerplate.go.txt paths=./api/...
	$(CONTROLLER_GEN) applyconfiguration:headerFile=hack/boilerplate.go.txt paths=./api/...
	$(GO) run ./hack/metricsdoc

.PHONY: manifests
manifests: $(CONTROLLER_GEN) ## Write the CRD, the operator's roles and the reference of fields from types and markers
	$(CONTROLLER_GEN) crd paths=./api/... output:crd:artifacts:config=config/crd/bases
	$(CONTROLLER_GEN) rbac:roleName=fluent-credential-operator paths=./controllers/... \
		output:rbac:artifacts:config=config/rbac
	$(CONTROLLER_GEN) rbac:roleName=fluent-credential-operator-delivery,fileName=delivery_role.yaml paths=./internal/delivery/... \
		output:rbac:artifacts:config=config/rbac
	$(GO) run ./hack/fieldsdoc

.PHONY: dashboards
dashboards: ## Write the Grafana dashboards of config/grafana
	cd hack/dashboards && $(GO) run -buildvcs=false .

.PHONY: build-installer
build-installer: chart-files $(KUSTOMIZE) bin/deploy/kustomization.yaml ## Write dist/install.yaml, the operator in one file, and the chart's copies
	@mkdir -p dist
	$(KUSTOMIZE) build bin/deploy -o dist/install.yaml

# What the chart has in common with config/ is copied, and its templates read it from there.
.PHONY: chart-files
chart-files: manifests
	@rm -rf dist/chart/files && mkdir -p dist/chart/files/admission dist/chart/files/crd
	@cp config/crd/bases/*.yaml dist/chart/files/crd
	@cp config/rbac/*role.yaml config/rbac/bindings/*_role.yaml config/namespaced/operator/own_secrets_role.yaml dist/chart/files
	@cp $(filter-out %/kustomization.yaml,$(wildcard config/admission/*.yaml)) dist/chart/files/admission

.PHONY: chart
chart: chart-files $(HELM) $(KUSTOMIZE) ## Bring the Helm chart in dist/chart up to date, lint it, and compare it with config/
	$(HELM) lint --strict dist/chart
	$(GO) test ./hack/install -run '^TestChart' -count=1

# A generated file that was not written again has lost its source; a changed or an untracked one was not committed.
.PHONY: verify
verify: ## Check that what is generated is what is committed
	@mkdir -p bin && touch bin/.verify
	@$(GO) mod tidy -diff || { echo 'verify: go.mod or go.sum is not tidy: run "make tidy" and commit the result'; exit 1; }
	@$(MAKE) --no-print-directory generate manifests build-installer
	@stale=$$( { git diff --name-only -- $(GENERATED); \
		git ls-files --others --exclude-standard -- $(GENERATED); \
		find api config/crd/bases config/rbac/role.yaml config/rbac/delivery_role.yaml dist/install.yaml dist/chart/files -type f ! -newer bin/.verify \
			\( -name 'zz_generated.*' -o -path '*/applyconfiguration/*' -o -name '*.yaml' \); } | sort -u ); \
	if [ -n "$$stale" ]; then \
		git --no-pager diff -- $(GENERATED); \
		echo; echo "verify: stale, or not committed:"; echo "$$stale" | sed 's/^/  /'; \
		echo "Run \"make generate manifests build-installer\" and commit the result; delete a file that is left over."; \
		exit 1; \
	fi; \
	echo "verify: what is generated is what is committed"

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Run the linters of .golangci.yml
	$(GOLANGCI_LINT) run ./...
	@for dir in $(MODULES); do echo "lint $$dir"; \
		(cd "$$dir" && '$(CURDIR)/$(GOLANGCI_LINT)' run --config '$(CURDIR)/.golangci.yml' .) || exit 1; done

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## Format the code as "lint" wants it
	$(GOLANGCI_LINT) fmt ./...
	@for dir in $(MODULES); do (cd "$$dir" && '$(CURDIR)/$(GOLANGCI_LINT)' fmt --config '$(CURDIR)/.golangci.yml' .) || exit 1; done

.PHONY: tidy
tidy: ## Tidy every module's go.mod
	@for dir in . $(MODULES) hack/tools/*/; do echo "tidy $$dir"; (cd "$$dir" && $(GO) mod tidy) || exit 1; done

##@ Deploy (to the cluster kubectl points at)

.PHONY: install
install: manifests $(KUSTOMIZE) ## Install the CRD
	$(KUSTOMIZE) build config/crd | $(KUBECTL) apply --server-side -f -

.PHONY: uninstall
uninstall: $(KUSTOMIZE) ## Remove the CRD, and with it every FluentCredential
	$(KUSTOMIZE) build config/crd | $(KUBECTL) delete --ignore-not-found -f -

.PHONY: deploy
deploy: manifests $(KUSTOMIZE) bin/deploy/kustomization.yaml ## Install the CRD and the operator, with image IMG
	$(KUSTOMIZE) build bin/deploy | $(KUBECTL) apply --server-side -f -

.PHONY: undeploy
undeploy: uninstall ## Remove the CRD, then, when the last FluentCredential is gone, the operator
	$(KUSTOMIZE) build config/default | $(KUBECTL) delete --ignore-not-found -f -

# An overlay that sets the image, so that no tracked file has to change for it.
.PHONY: bin/deploy/kustomization.yaml
bin/deploy/kustomization.yaml:
	@mkdir -p $(@D)
	@image='$(IMG)'; \
	case "$${image##*/}" in \
		*@*) name=$${image%@*}; version="digest: $${image##*@}" ;; \
		*:*) name=$${image%:*}; version="newTag: $${image##*:}" ;; \
		*) name=$$image; version="newTag: latest" ;; \
	esac; \
	printf '%s\n' 'resources: [../../config/default]' 'images:' \
		'  - name: fluent-credential-operator' "    newName: $$name" "    $$version" > $@

# Prometheus and promtool share a module. Of the ways to find targets only those are built in that need no cloud's client: it
# spares most of the build. The web interface is not in the module, and not needed.
$(PROMETHEUS) $(PROMTOOL) &: hack/tools/prometheus/go.mod hack/tools/prometheus/go.sum
	@echo "building prometheus and promtool into bin/tools: the first time this takes some minutes"
	@mkdir -p bin/tools
	@cd hack/tools/prometheus && for tool in prometheus promtool; do \
		CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -tags remove_all_sd -o '$(CURDIR)'/bin/tools/$$tool.new \
			github.com/prometheus/prometheus/cmd/$$tool || exit 1; \
	done
	@for tool in prometheus promtool; do mv bin/tools/$$tool.new bin/tools/$$tool && touch bin/tools/$$tool; done

# krew and its validator of manifests share a module, too.
bin/tools/krew: hack/tools/krew/go.mod hack/tools/krew/go.sum
	@echo "building krew and validate-krew-manifest into bin/tools"
	@mkdir -p $(@D)
	@cd hack/tools/krew && for tool in krew validate-krew-manifest; do \
		CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -o '$(CURDIR)'/bin/tools/$$tool sigs.k8s.io/krew/cmd/$$tool || exit 1; \
	done

# The tools: one module each, so that one's dependencies do not move another's. Built again when its module changes.

bin/tools/controller-gen: package := sigs.k8s.io/controller-tools/cmd/controller-gen
bin/tools/golangci-lint:  package := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
bin/tools/helm:           package := helm.sh/helm/v4/cmd/helm
bin/tools/kustomize:      package := sigs.k8s.io/kustomize/kustomize/v5
bin/tools/golangci-lint:  patience := : the first time this takes some minutes

bin/tools/%: hack/tools/%/go.mod hack/tools/%/go.sum
	@echo "building $* into bin/tools$(patience)"
	@mkdir -p $(@D)
	@new='$(CURDIR)/$@'.$$$$ && (cd hack/tools/$* && CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -o "$$new" $(package)) && \
		touch "$$new" && mv "$$new" $@ # two tests may want it at the same time
