package custody

// Version returns the version of the state Secret that the record was read from or written as, or an empty string if
// there is none.
func (r *Record) Version() string {
	if r.secret == nil {
		return ""
	}
	return r.secret.ResourceVersion
}
