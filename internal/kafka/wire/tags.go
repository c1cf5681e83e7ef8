package wire

// TagCount reads the number of tagged fields that follow; it is 0 after an error.
func (r *Reader) TagCount() int {
	n := int(r.UVarint())
	if n > len(r.b)/2 {
		r.Fail(ErrCount)
		return 0
	}
	return n
}

// OpenTag reads the tag and the size of a tagged field and confines the Reader
// to its content. The rest is what CloseTag goes on with.
func (r *Reader) OpenTag() (tag uint32, rest []byte) {
	tag = r.UVarint()
	size := int(r.UVarint())
	if r.err != nil {
		return 0, nil
	}
	if size > len(r.b) {
		r.Fail(ErrTruncated)
		return 0, nil
	}
	rest = r.b[size:]
	r.b = r.b[:size]
	return tag, rest
}

// CloseTag leaves a tagged field, whose content must have been read to its end,
// and reports whether the next one can be read.
func (r *Reader) CloseTag(rest []byte) bool {
	if len(r.b) != 0 {
		r.Fail(ErrTag)
	}
	if r.err != nil {
		return false
	}
	r.b = rest
	return true
}

// Discard skips the content of a tagged field that the reader does not know.
func (r *Reader) Discard() { r.b = r.b[len(r.b):] }

// SkipTags reads tagged fields of which none is known.
func (r *Reader) SkipTags() {
	if len(r.b) > 0 && r.b[0] == 0 {
		r.b = r.b[1:]
		return
	}
	for n := r.TagCount(); n > 0; n-- {
		_, rest := r.OpenTag()
		r.Discard()
		if !r.CloseTag(rest) {
			return
		}
	}
}
