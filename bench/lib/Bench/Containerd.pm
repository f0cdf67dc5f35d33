# containerd as Debian has it, with its CRI plugin: the same OCI runtime, CNI configuration, images and registry as cricketd; all
# else is its default. restrict_oom_score_adj: machines that may not lower the score (CAP_SYS_RESOURCE) run no pause container without.
package Bench::Containerd;
use v5.32;
use warnings;
use parent 'Bench::Runtime';
use Cricket::Wait;

sub name { return 'containerd' }

sub write_config {
    my ($self) = @_;
    my $bench = $self->{bench};
    my ($program) = grep { -x } map { "$_/$self->{oci}" } split /:/, $ENV{PATH};
    spew("$self->{dir}/config.toml", <<"END");
version = 2
root = "$self->{root}"
state = "$self->{state}"
[grpc]
  address = "$self->{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "$self->{dir}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$Cricket::REGISTRY/bench/pause:1"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
[plugins."io.containerd.grpc.v1.cri".containerd]
  default_runtime_name = "$self->{oci}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.$self->{oci}]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.$self->{oci}.options]
  BinaryName = "$program"
  Root = "$self->{state}/oci"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "$bench->{dir}/cni/conf"
[plugins."io.containerd.grpc.v1.cri".registry.mirrors."$Cricket::REGISTRY"]
  endpoint = ["http://$Cricket::REGISTRY"]
END
}

sub argv {
    my ($self) = @_;
    return ('containerd', '--config', "$self->{dir}/config.toml");
}

sub version { return (run(qw(containerd --version)))[1] =~ s/^containerd \S+ (\S+).*\s*/containerd $1/sr }

# Containers and snapshots: what a store that leaks has too many of.
sub rows_command {
    my ($self) = @_;
    my $ctr = "ctr --address $self->{socket} -n k8s.io";
    return "{ $ctr containers ls -q; $ctr snapshots ls | tail -n +2; } | wc -l";
}

1;
