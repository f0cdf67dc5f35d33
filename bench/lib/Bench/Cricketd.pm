# cricketd, with its defaults but for where things are.
package Bench::Cricketd;
use v5.32;
use warnings;
use parent 'Bench::Runtime';
use Cricket::Wait;

sub name { return 'cricket' }

sub write_config {
    my ($self) = @_;
    my $bench = $self->{bench};
    spew("$self->{dir}/config.yaml", <<"END");
registries_file: $bench->{dir}/registries.yaml
helper_dir: $Cricket::BUILD
default_handler: $self->{oci}
cni: {conf_dir: $bench->{dir}/cni/conf}
END
}

# prefix => [...]: a program that runs the daemon, such as valgrind.
sub argv {
    my ($self) = @_;
    return (@{$self->{prefix} // []}, "$Cricket::BUILD/cricketd", '--config', "$self->{dir}/config.yaml", '--root', $self->{root}, '--state', $self->{state},
            '--listen', "unix://$self->{socket}");
}

sub version { return (run("$Cricket::BUILD/cricketd", '--version'))[1] =~ s/\s+\z//r }

sub rows_command {
    my ($self) = @_;
    return "sqlite3 -readonly $self->{root}/store.db 'select count(*) from objects'";
}

1;
