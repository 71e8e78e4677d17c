// Package docs tests the documentation: that its links lead somewhere, that its samples are those of config/samples, that its manifests
// have no unknown field, and that the tests it names as proof exist.
package docs
