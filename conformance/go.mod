module github.com/naru-stream/naru/conformance

go 1.26.0

replace github.com/naru-stream/naru => ../
