package broker

import "testing"

func BenchmarkRingRoundTrip(b *testing.B) {
	client, server := newPipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		p := make([]byte, 256)
		for {
			n, err := server.Read(p)
			if err != nil {
				return
			}
			_, _ = server.Write(p[:n])
		}
	}()
	p, r := make([]byte, 128), make([]byte, 256)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = client.Write(p)
		_, _ = client.Read(r)
	}
	_ = client.Close()
	<-done
}

func BenchmarkRingStream(b *testing.B) {
	client, server := newPipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		p := make([]byte, 32<<10)
		for {
			if _, err := server.Read(p); err != nil {
				return
			}
		}
	}()
	p := make([]byte, 128)
	b.SetBytes(128)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = client.Write(p)
	}
	_ = client.Close()
	<-done
}
