// Package docs tests the documentation: that its links lead somewhere, that its samples are those of config/samples, that its manifests
// have no unknown field, that the tests it names as proof exist, and that every command it shows works.
//
// The commands are run. A page belongs to a story (stories_test.go, faults_test.go), which prepares what the page takes for granted and
// then follows it from top to bottom in a real shell: with kubectl and kubectl fluent, against a real API server into which dist/install.yaml
// was applied, with the operator's own binary at work under the rights that it gives. The authentication APIs are simulated ones under
// the names of the real ones, behind an HTTPS proxy (apis_test.go), so that whatever is shown is run as it stands. Where a page shows what a
// command prints, that is compared, but for times and the widths of columns; -update writes it down.
//
// What cannot be run so is in a table (elsewhere_test.go), with the reason, and with the test or the step of CI that shows it. A new
// command on any page fails the test until somebody has decided for one of the two.
package docs
