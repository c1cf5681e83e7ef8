package differential

import (
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"

	"github.com/naru-stream/naru/internal/kafka/protocol"
)

// flattener turns a message into fields.
type flattener struct {
	labels *labels
	out    map[string]string
}

// identities are the fields that identify an element of an array, by their names, in the order in which
// they are put together.
var identities = []string{
	"ResourceType", "ResourceName", "GroupId", "Group", "Key", "Name", "TopicName", "Topic", "TopicId",
	"MemberId", "GroupInstanceId", "PartitionIndex", "PartitionId", "Partition", "Index", "ApiKey", "NodeId", "BrokerId", "ReplicaId", "LogDir", "BatchIndex",
}

// message adds all fields of m.
func (f *flattener) message(m protocol.Message) {
	f.value("", reflect.ValueOf(m).Elem())
}

func (f *flattener) value(path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			f.out[path] = "null"
			return
		}
		f.value(path, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.IsExported() {
				f.value(dot(path, field.Name), v.Field(i))
			}
		}
	case reflect.Slice:
		f.slice(path, v)
	default:
		f.out[path] = f.scalar(leaf(path), v)
	}
}

func (f *flattener) slice(path string, v reflect.Value) {
	switch {
	case v.Type().Elem().Kind() == reflect.Uint8:
		if leaf(path) == "Records" {
			f.out[path] = f.labels.batches(v.Bytes())
		} else {
			f.out[path] = f.labels.bytes(v.Bytes())
		}
		return
	case v.IsNil():
		f.out[path] = "null"
		return
	case v.Type().Elem().Kind() != reflect.Struct:
		var parts []string
		for i := range v.Len() {
			parts = append(parts, f.scalar(leaf(path), v.Index(i)))
		}
		sort.Strings(parts)
		f.out[path] = "[" + strings.Join(parts, " ") + "]"
		return
	}
	f.out[path] = fmt.Sprintf("%d elements", v.Len())
	seen := map[string]int{}
	for i := range v.Len() {
		key := f.identity(v.Index(i))
		if key == "" {
			key = strconv.Itoa(i)
		}
		seen[key]++
		if n := seen[key]; n > 1 {
			key += "#" + strconv.Itoa(n)
		}
		f.out[path+"["+key+"]"] = "present"
		f.value(path+"["+key+"]", v.Index(i))
	}
}

// identity returns what identifies an element, empty if nothing does.
func (f *flattener) identity(v reflect.Value) string {
	var parts []string
	identified := false
	for _, name := range identities {
		field := v.FieldByName(name)
		if !field.IsValid() {
			continue
		}
		if field.Kind() == reflect.Pointer {
			if field.IsNil() {
				continue
			}
			field = field.Elem()
		}
		identified = true
		if text := f.scalar(name, field); text != "" && text != "-" {
			parts = append(parts, text)
		}
	}
	if identified && len(parts) == 0 {
		return "nameless"
	}
	return strings.Join(parts, ",")
}

func (f *flattener) scalar(name string, v reflect.Value) string {
	switch value := v.Interface().(type) {
	case protocol.ErrorCode:
		return value.String()
	case protocol.UUID:
		return f.labels.topicID(value)
	case string:
		return f.labels.text(name, value)
	}
	switch {
	case v.CanInt():
		return f.labels.integer(name, v.Int())
	case v.CanUint():
		return strconv.FormatUint(v.Uint(), 10)
	}
	return fmt.Sprint(v.Interface())
}

func dot(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// leaf returns the last field name of a path.
func leaf(path string) string {
	if i := strings.LastIndexByte(path, '.'); i >= 0 && !strings.Contains(path[i:], "]") {
		return path[i+1:]
	}
	if i := strings.LastIndex(path, "]."); i >= 0 {
		return path[i+2:]
	}
	return path
}
