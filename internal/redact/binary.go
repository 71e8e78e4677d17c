package redact

// leastRun is the minimum length of a run of characters that can represent leastSecret bytes in base64.
const leastRun = leastSecret * 4 / 3

// binaries returns the texts that a view may represent in base64 and in hexadecimal, also if they were percent-encoded
// before, as the parts of HTTP Basic are (RFC 6749 section 2.3.1). It is unknown where in a run of characters an
// encoded secret begins, so each place is tried.
func binaries(v *view) []*view {
	var found []*view
	for shift := range 4 {
		found = append(found, decodedRuns(v, shift, sixBits, 6)...)
	}
	for shift := range 2 {
		found = append(found, decodedRuns(v, shift, fourBits, 4)...)
	}
	return found
}

// decodedRuns decodes each run of digits that have that many bits each. A space separates two runs.
func decodedRuns(v *view, shift int, digit func(byte) (uint32, bool), bits int) []*view {
	decoded := newView(len(v.text))
	for start := 0; start < len(v.text); {
		end := start
		for end < len(v.text) && isDigit(v.text[end], digit) {
			end++
		}
		if end-start >= leastRun+shift {
			decoded.run(v, start+shift, end, digit, bits)
		}
		start = end + 1
	}
	if len(decoded.text) == 0 {
		return nil
	}
	if inner, changed := unescaped(decoded, percent); changed {
		return []*view{decoded, inner}
	}
	return []*view{decoded}
}

func isDigit(char byte, digit func(byte) (uint32, bool)) bool {
	_, is := digit(char)
	return is
}

func (v *view) run(source *view, start, end int, digit func(byte) (uint32, bool), bits int) {
	var held uint32
	have := 0
	first := start
	for at := start; at < end; at++ {
		value, _ := digit(source.text[at])
		held = held<<bits | value
		have += bits
		if have < 8 {
			continue
		}
		have -= 8
		v.text = append(v.text, byte(held>>have))
		v.from = append(v.from, source.from[first])
		v.to = append(v.to, source.to[at])
		if first = at; have == 0 {
			first = at + 1
		}
	}
	v.put(" ", source, end-1, end-1)
}

// sixBits returns the value of a digit of either base64 alphabet (RFC 4648 sections 4 and 5).
func sixBits(char byte) (uint32, bool) {
	switch {
	case 'A' <= char && char <= 'Z':
		return uint32(char - 'A'), true
	case 'a' <= char && char <= 'z':
		return uint32(char-'a') + 26, true
	case '0' <= char && char <= '9':
		return uint32(char-'0') + 52, true
	case char == '+' || char == '-':
		return 62, true
	case char == '/' || char == '_':
		return 63, true
	}
	return 0, false
}

func fourBits(char byte) (uint32, bool) {
	switch {
	case '0' <= char && char <= '9':
		return uint32(char - '0'), true
	case 'a' <= char && char <= 'f':
		return uint32(char-'a') + 10, true
	case 'A' <= char && char <= 'F':
		return uint32(char-'A') + 10, true
	}
	return 0, false
}
