package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// The packages with tests of their own kinds.
const (
	controllersDir = "controllers"
	simulationDir  = "controllers/simulation"
)

// runner judges mutations.
type runner struct {
	root     string // of the repository
	dir      string // for overlays and test binaries
	options  options
	unit     string // a pattern of the tests in controllers that need no API server
	progress io.Writer
	began    time.Time

	mu     sync.Mutex
	done   int
	limits map[string]time.Duration // by step
	suite  sync.Mutex               // one suite at a time
}

// result is what became of one mutation. Each of the three names the test that failed; empty if all passed, or were not
// run.
type result struct {
	mutation
	simulation string
	unit       string
	suite      string
	wrong      error // the mutation cannot be judged
	took       time.Duration
}

func (r result) isKilled() bool { return r.simulation != "" || r.unit != "" || r.suite != "" }

func newRunner(root string, chosen options, progress io.Writer) (*runner, error) {
	unit, err := unitTests(filepath.Join(root, controllersDir))
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return nil, err
	}
	return &runner{
		root: root, dir: dir, options: chosen, unit: unit, progress: progress,
		began: time.Now(), limits: map[string]time.Duration{},
	}, nil
}

// unitTests returns a pattern of the tests in the files *_unit_test.go of a package.
func unitTests(dir string) (string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*_unit_test.go"))
	if err != nil || len(files) == 0 {
		return "", errors.Join(err, fmt.Errorf("%s has no unit tests: mutants runs in the root of the repository", dir))
	}
	var names []string
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return "", err
		}
		for _, declaration := range parsed.Decls {
			test, ok := declaration.(*ast.FuncDecl)
			if ok && test.Recv == nil && strings.HasPrefix(test.Name.Name, "Test") {
				names = append(names, test.Name.Name)
			}
		}
	}
	return "^(" + strings.Join(names, "|") + ")$", nil
}

// step is one run of a test binary.
type step struct {
	dir   string // of the package
	name  string
	args  []string
	seeds bool // the simulation, whose failing seed is the finding
}

// The steps of the simulation. TestCensus runs the seeds as TestSeeds does and names a failing seed at once, without
// shrinking it.
func (r *runner) simulationSteps() []step {
	if !r.options.has(partSimulation) {
		return nil
	}
	return []step{
		{
			dir: simulationDir, name: fmt.Sprintf("%d seeds of the simulation", r.options.seeds), seeds: true,
			args: []string{"-test.run", "^TestCensus$", "-census", fmt.Sprintf("-seeds=%d", r.options.seeds)},
		},
		{
			dir: simulationDir, name: "the other tests of the simulation",
			args: []string{"-test.skip", "^(TestCensus|TestSeeds)$"},
		},
	}
}

func (r *runner) unitSteps(dirs []string) []step {
	if !r.options.has(partUnit) {
		return nil
	}
	var steps []step
	for _, dir := range dirs {
		one := step{dir: dir, name: "unit tests of " + dir}
		switch dir {
		case simulationDir:
			continue
		case controllersDir:
			one.args = []string{"-test.run", r.unit}
		}
		steps = append(steps, one)
	}
	return steps
}

func (r *runner) suiteSteps() []step {
	return []step{{dir: controllersDir, name: "suite on a real API server", args: []string{"-test.skip", r.unit}}}
}

// run judges the mutations: first the unmutated source, which has to pass everything.
func (r *runner) run(ctx context.Context, selected []mutation) ([]result, error) {
	for _, m := range selected {
		if _, err := m.applied(r.root); err != nil {
			return nil, err
		}
	}
	if err := r.measure(ctx, slices.Concat(r.simulationSteps(), r.unitSteps(allTests(selected)))); err != nil {
		return nil, err
	}
	results := make([]result, len(selected))
	next := make(chan int)
	var workers sync.WaitGroup
	for range r.options.jobs {
		workers.Go(func() {
			for at := range next {
				if ctx.Err() != nil {
					continue // it is interrupted
				}
				results[at] = r.judge(ctx, selected[at])
				r.tell(results[at], len(selected))
			}
		})
	}
	for at := range selected {
		next <- at
	}
	close(next)
	workers.Wait()
	if ctx.Err() != nil {
		return nil, errors.New("interrupted")
	}
	return results, nil
}

func allTests(selected []mutation) []string {
	var dirs []string
	for _, m := range selected {
		for _, dir := range m.tests {
			if !slices.Contains(dirs, dir) {
				dirs = append(dirs, dir)
			}
		}
	}
	return dirs
}

// measure runs steps with the unmutated source, which has to pass, and derives their time limits.
func (r *runner) measure(ctx context.Context, steps []step) error {
	work := &bench{runner: r, overlay: "", dir: filepath.Join(r.dir, "unmutated")}
	defer work.remove()
	for _, s := range steps {
		began := time.Now()
		killer, err := work.perform(ctx, s, time.Hour)
		if err != nil {
			return err
		}
		if killer != "" {
			return fmt.Errorf("the unmutated source does not pass the %s: %s", s.name, killer)
		}
		r.limit(s, time.Since(began))
		r.say("unmutated: %s passed in %s", s.name, time.Since(began).Round(100*time.Millisecond))
	}
	return nil
}

// limit makes a time-out mean something: the unmutated source is far from it.
func (r *runner) limit(s step, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limits[s.name] = 3*took + 2*time.Minute
	if r.options.limit > 0 {
		r.limits[s.name] = r.options.limit
	}
}

func (r *runner) limitOf(s step) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.limits[s.name]
}

// judge runs the simulation and the unit tests with one mutation, and the suite if it survives both.
func (r *runner) judge(ctx context.Context, m mutation) (found result) {
	began := time.Now()
	found.mutation = m
	defer func() { found.took = time.Since(began) }()
	work, err := r.prepare(m)
	if err != nil {
		found.wrong = err
		return found
	}
	defer work.remove()
	if found.simulation, found.wrong = work.first(ctx, r.simulationSteps()); found.wrong != nil {
		return found
	}
	if found.unit, found.wrong = work.first(ctx, r.unitSteps(m.tests)); found.wrong != nil {
		return found
	}
	if found.isKilled() || !r.options.has(partSuite) {
		return found
	}
	r.say("%s: survives the simulation and the unit tests; the suite comes next", m.name)
	found.suite, found.wrong = r.suiteOf(ctx, work)
	return found
}

// suiteOf runs the suite on a real API server. The unmutated source passes it first.
func (r *runner) suiteOf(ctx context.Context, work *bench) (string, error) {
	r.suite.Lock()
	defer r.suite.Unlock()
	if r.limitOf(r.suiteSteps()[0]) == 0 {
		if err := r.measure(ctx, r.suiteSteps()); err != nil {
			return "", err
		}
	}
	return work.first(ctx, r.suiteSteps())
}

// prepare writes the overlay of a mutation.
func (r *runner) prepare(m mutation) (*bench, error) {
	changed, err := m.applied(r.root)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(r.dir, "mutant")
	if err != nil {
		return nil, err
	}
	replace := map[string]string{}
	for file, content := range changed {
		mutated := filepath.Join(dir, fmt.Sprintf("%d-%s", len(replace), filepath.Base(file)))
		if err := os.WriteFile(mutated, content, 0o600); err != nil {
			return nil, err
		}
		replace[file] = mutated
	}
	encoded, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return &bench{runner: r, overlay: overlay, dir: dir}, os.WriteFile(overlay, encoded, 0o600)
}

// bench has the test binaries of one mutation.
type bench struct {
	runner  *runner
	overlay string // empty: the source as it is
	dir     string
}

func (b *bench) remove() { _ = os.RemoveAll(b.dir) }

// first performs steps until a test fails, and returns which.
func (b *bench) first(ctx context.Context, steps []step) (string, error) {
	for _, s := range steps {
		if killer, err := b.perform(ctx, s, b.runner.limitOf(s)); killer != "" || err != nil {
			return killer, err
		}
	}
	return "", nil
}

func (b *bench) perform(ctx context.Context, s step, limit time.Duration) (string, error) {
	binary, err := b.build(ctx, s.dir)
	if err != nil {
		return "", err
	}
	killer, err := execution{
		binary: binary, dir: filepath.Join(b.runner.root, filepath.FromSlash(s.dir)), args: s.args, seeds: s.seeds, limit: limit,
	}.run(ctx)
	if killer != "" && !s.seeds {
		killer = s.dir + " " + killer
	}
	return killer, err
}

// build compiles the tests of a package, once for all steps.
func (b *bench) build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(b.dir, strings.ReplaceAll(dir, "/", "-")+".test")
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	args := []string{"test", "-c", "-vet=off", "-buildvcs=false", "-o", binary}
	if b.overlay != "" {
		args = append(args, "-overlay", b.overlay)
	}
	command := exec.CommandContext(ctx, cmp.Or(os.Getenv("GO"), "go"), append(args, "./"+dir)...)
	command.Dir = b.runner.root
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s does not compile: %w\n%s", dir, err, output)
	}
	return binary, nil
}

func (r *runner) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.progress, "[%s] %s\n", clock(time.Since(r.began)), fmt.Sprintf(format, args...))
}

// tell reports one finished mutation.
func (r *runner) tell(found result, of int) {
	r.mu.Lock()
	r.done++
	done := r.done
	r.mu.Unlock()
	r.say("%d of %d, %s: %s (%s)", done, of, found.name, found.words(), found.took.Round(time.Second))
}

func clock(passed time.Duration) string {
	seconds := int(passed.Seconds())
	return fmt.Sprintf("%d:%02d", seconds/60, seconds%60)
}
