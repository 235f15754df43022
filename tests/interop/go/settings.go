package main

import (
	"dubbo.apache.org/dubbo-go/v3/remoting/getty"
	"dubbo.apache.org/dubbo-go/v3/server"
	"dubbo.apache.org/dubbo-go/v3/tls"

	network "github.com/apache/dubbo-getty"
)

// settings of a peer; what is empty stays as dubbo-go has it. What a flag sets goes to getty, which
// carries the dubbo protocol: dubbo-go's own options for TLS do not get there (test_tls.py).
type settings struct {
	heartbeat                   string
	certificate, key, authority string
	byOption                    bool // TLS by the options that dubbo-go has for it
}

func (s *settings) options() []tls.Option {
	return []tls.Option{
		tls.WithCertFile(s.certificate), tls.WithKeyFile(s.key), tls.WithCACertFile(s.authority),
	}
}

// consumer applies them to all connections that are made from now on. A peer that does not answer
// three heartbeats is given up.
func (s *settings) consumer() error {
	config := getty.GetDefaultClientConfig()
	if s.heartbeat != "" {
		config.HeartbeatPeriod, config.HeartbeatTimeout = s.heartbeat, s.heartbeat
	}
	if s.certificate != "" && !s.byOption {
		config.SSLEnabled = true
		config.TLSBuilder = &network.ClientTlsConfigBuilder{
			ClientKeyCertChainPath:        s.certificate,
			ClientPrivateKeyPath:          s.key,
			ClientTrustCertCollectionPath: s.authority,
		}
	}
	if err := config.CheckValidity(); err != nil {
		return err
	}
	getty.SetClientConf(*config)
	return nil
}

// provider applies what is no option of a server, and returns the options.
func (s *settings) provider() ([]server.ServerOption, error) {
	config := getty.GetDefaultServerConfig()
	if s.heartbeat != "" {
		config.HeartbeatPeriod, config.HeartbeatTimeout = s.heartbeat, s.heartbeat
	}
	if s.certificate != "" && !s.byOption {
		config.SSLEnabled = true
		config.TLSBuilder = &network.ServerTlsConfigBuilder{
			ServerKeyCertChainPath:        s.certificate,
			ServerPrivateKeyPath:          s.key,
			ServerTrustCertCollectionPath: s.authority,
		}
	}
	if err := config.CheckValidity(); err != nil {
		return nil, err
	}
	getty.SetServerConfig(*config)
	if !s.byOption {
		return nil, nil
	}
	return []server.ServerOption{server.WithServerTLSOption(s.options()...)}, nil
}
