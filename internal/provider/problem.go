package provider

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// The members that contain errors, in the order of their precedence. Their names are compared case-insensitively.
var (
	codeMembers = []string{
		"error", "code", "error_code", "errorcode", "errcode", "error_type", "errortype", "status", "__type",
		"httpmessage",
	}
	wordMembers = []string{
		"error_description", "message", "title", "description", "detail", "error_message", "errormessage",
		"errorsummary", "faultstring", "moreinformation", "reason", "msg", "errmsg", "error_msg", "details", "info",
	}
	// errorMembers are the members that make a 2xx an error.
	errorMembers = []string{
		"error", "errors", "error_code", "errorcode", "errcode", "error_type", "errortype", "fault",
	}
)

// problemsOf finds the errors of a JSON reply: in its own members, and in the members of nested objects and lists, one
// level deep. Fields missing in one are taken from the other.
func problemsOf(doc document) []Problem {
	if doc.list != nil {
		return problemsIn(doc.list, doc.status)
	}
	outer := problemIn(doc.fields, doc.status)
	var found []Problem
	for _, name := range errorFirst(doc.fields) {
		for _, inner := range innerProblems(doc.fields[name], doc.status, isAny(name, "error", "errors")) {
			if inner.Code == "" {
				inner.Code = outer.Code
			}
			if inner.Description == "" {
				inner.Description = outer.Description
			}
			found = append(found, inner)
		}
	}
	if outer == (Problem{}) {
		return found
	}
	for _, inner := range found {
		if outer.Description == "" {
			outer.Description = inner.Description
		}
	}
	return append([]Problem{outer}, found...)
}

// errorFirst returns the names of the members, those of errors first.
func errorFirst(object fields) []string {
	names := slices.Sorted(maps.Keys(object))
	slices.SortStableFunc(names, func(a, b string) int {
		return rank(a) - rank(b)
	})
	return names
}

func rank(name string) int {
	if isAny(name, errorMembers...) {
		return 0
	}
	return 1
}

func isAny(name string, names ...string) bool {
	return slices.ContainsFunc(names, func(one string) bool { return strings.EqualFold(name, one) })
}

// innerProblems returns the problems in a member: an object, or a list of objects or, in a member for errors, of texts.
func innerProblems(raw json.RawMessage, status int, forErrors bool) []Problem {
	if object, err := parseFields(raw); err == nil {
		return problemsIn([]fields{object}, status)
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return nil
	}
	var found []Problem
	for _, each := range list[:min(len(list), maxErrors)] {
		var text string
		object, err := parseFields(each)
		switch {
		case err == nil:
			found = append(found, problemsIn([]fields{object}, status)...)
		case forErrors && json.Unmarshal(each, &text) == nil && text != "":
			found = append(found, problemOfText(text))
		}
	}
	return found
}

// maxErrors bounds the number of errors read from one list.
const maxErrors = 32

func problemsIn(list []fields, status int) []Problem {
	var found []Problem
	for _, object := range list[:min(len(list), maxErrors)] {
		if one := problemIn(object, status); one != (Problem{}) {
			found = append(found, one)
		}
	}
	return found
}

// problemOfText treats a single word as a code, and a longer text as a description.
func problemOfText(text string) Problem {
	if strings.ContainsAny(text, " \t\r\n") {
		return Problem{Description: text}
	}
	return Problem{Code: text}
}

// problemIn reads the members of one object. A number that repeats the status is no code, and a word takes precedence
// over a number.
func problemIn(object fields, status int) Problem {
	var said Problem
	for _, name := range codeMembers {
		code := object.scalarNamed(name)
		_, notNumber := strconv.ParseFloat(code, 64)
		switch {
		case code == "" || repeatsStatus(code, status) || says(code) == "":
		case said.Code == "", isNumber(said.Code) && notNumber != nil && name != "error":
			said.Code = code
		}
	}
	var words []string
	for _, name := range wordMembers {
		text := object.scalarNamed(name)
		if text != "" && !slices.Contains(words, text) && text != said.Code {
			words = append(words, text)
		}
	}
	said.Description = strings.Join(words, ": ")
	return said
}

func isNumber(text string) bool {
	_, err := strconv.ParseFloat(text, 64)
	return err == nil
}

// says returns the value of an error member if it has a meaning: "error": false and similar values mean that there is
// no error, and true means only that there is one.
func says(value string) string {
	if isAny(value, "false", "0", "none", "null", "true", "error", "failure", "fail", "failed", "ok", "success") {
		return ""
	}
	return value
}

// saysError reports whether the reply declares an error, as some do with a 2xx.
func (d document) saysError() bool {
	objects := append([]fields{d.fields}, d.list...)
	return slices.ContainsFunc(objects, func(object fields) bool { return object.sayError(d.status) })
}

func (f fields) sayError(status int) bool {
	for name, raw := range f {
		if isAny(name, "ok", "success") && isAny(f.scalar(name), "false") {
			return true
		}
		if !isAny(name, errorMembers...) {
			continue
		}
		value := f.scalar(name)
		object, notObject := parseFields(raw)
		switch {
		case value != "":
			if says(value) != "" || isAny(value, "true", "error", "failure", "fail", "failed") {
				return true
			}
		case notObject == nil: // {"error":{"code":0}} means that there is none
			if code := object.scalarNamed("code"); len(object) > 0 && (code == "" || says(code) != "") {
				return true
			}
		case len(innerProblems(raw, status, true)) > 0:
			return true
		}
	}
	return false
}

// mostDecisive returns the error that decides most about the presented grant; of equal errors, the first.
func mostDecisive(found []Problem, class func(string) codeClass) Problem {
	var best Problem
	for i, each := range found {
		if i == 0 || decisiveness[class(each.Code)] > decisiveness[class(best.Code)] {
			best = each
		}
	}
	return best
}
