# exec, attach and port-forward of the command line against the real daemon: the whole way, with real containers.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;
use IO::Socket::INET;

my $c = Cricket->new(registry => 1);
my $BIN = "$Cricket::BUILD/cricket";
my $JSON = JSON::PP->new;

sub argv { return ($BIN, '--endpoint', "unix://$c->{socket}", @_) }

# Exit code, and output and errors together; $input is the command's stdin.
sub fed {
    my ($input, @args) = @_;
    spew("$c->{dir}/input", $input);
    return run('sh', '-c', 'f=$1; shift; exec "$@" < "$f"', 'sh', "$c->{dir}/input", argv(@args));
}

sub gives {
    my ($args, $code, $text, $what, $input) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($rc, $out) = fed($input // '', @$args);
    return is($rc, $code, "$what: exit code $code") && like($out, $text, '... and output') || diag "cricket @$args: $out";
}

# In a terminal: exit code, whether the terminal is as it was, output.
sub typed {
    my ($steps, @args) = @_;
    my ($rc, $out) = run('/usr/bin/python3', "$FindBin::Bin/lib/terminal.py", $JSON->encode($steps), argv(@args));
    $out =~ s/^exit (-?\d+) (\w+)\n// or die "terminal.py: $out";
    return ($1, $2, $out);
}

$c->start;
$c->pull;
my $pod_config = $c->pod_config(name => 'web');
my $pod = $c->run_pod($pod_config);

sub container {
    my ($name, $script, %o) = @_;
    return $c->run_container($pod, $pod_config, $c->container_config($script, name => $name, %o));
}

container('plain', 'mkdir -p /www; echo "hello from the pod" > /www/index.html; exec httpd -f -p 8080 -h /www');
fed('', 'exec', 'plain', 'true');    # from now on a cricket-enter may wait there

# ---- exec ----------------------------------------------------------------------------------------------------------------
$c->leaks_nothing('exec', sub {
    gives(['exec', 'plain', 'sh', '-c', 'echo out; echo err >&2; exit 3'], 3, qr/out\n.*err|err\n.*out/s, 'exec');
    gives(['exec', '-i', 'plain', 'sh', '-c', 'cat; echo end'], 0, qr/^some input\nend\n$/, 'exec -i, and the input ends', "some input\n");
    gives(['exec', 'plain', 'no-such-program'], 1, qr/no-such-program/, 'a program that is not there');
    gives(['exec', '--limit', '1s', 'plain', 'sleep', '100'], 1, qr/killed/, 'exec --limit');
    my ($rc, $out) = fed('', 'exec', 'plain', 'sh', '-c', 'head -c 20000000 /dev/zero | tr "\0" x');
    is length $out, 20_000_000, 'all of a large output';
    ($rc, my $mode, $out) = typed([['# ', "stty size; tty\n"], ['/dev/pts', [30, 100]], ['# ', "stty size; exit 5\n"], ['30 100', undef]],
        'exec', '-it', 'plain', 'sh', '-c', 'PS1="# " exec sh -i');
    is $rc, 5, 'exec -it passes the exit code on';
    is $mode, 'cooked', '... leaves the terminal as it was';
    like $out, qr/24 80/, '... has its size';
});

# ---- attach --------------------------------------------------------------------------------------------------------------
container('echo', 'echo ready; while read x; do echo "got $x"; done; echo over', stdin => JSON::PP::true());
$c->leaks_nothing('attach', sub {
    my ($rc, $out) = fed("one\ntwo\n", 'attach', 'echo');
    is $rc, 0, 'attach';
    my $log = "$pod_config->{log_directory}/echo.log";
    wait_for('the container to have read it', sub { slurp($log) =~ /got two/ });
    is $c->container_status($_->{id})->{state}, 'CONTAINER_RUNNING', '... leaves the container running'
      for grep { $_->{metadata}{name} eq 'echo' } @{$c->call('ListContainers')->{containers}};
});
container('shell', 'PS1="% " exec sh -i', tty => JSON::PP::true(), stdin => JSON::PP::true());
{
    my ($rc, $mode, $out) = typed([['', "echo typed\n"], ["typed\r\n% ", "\cP\cQ"]], 'attach', 'shell');
    like $out, qr/typed\r\n/, 'attach to a terminal';
    is_deeply [$rc, $mode], [0, 'cooked'], '... and detach with its keys';
    ($rc, $mode, $out) = typed([['', "echo again\n"], ["again\r\n% ", "exit 4\n"]], 'attach', 'shell');
    is_deeply [$rc, $mode], [4, 'cooked'], 'attach again, after a detach: it ends as the container does';
}

# ---- port-forward --------------------------------------------------------------------------------------------------------
sub http {
    my ($port) = @_;
    my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") or return "connect: $!";
    print {$s} "GET / HTTP/1.0\r\n\r\n";
    return do { local $/; <$s> };
}

$c->leaks_nothing('port-forward', sub {
    my $log = "$c->{dir}/forward.log";
    my $pid = $c->spawn($log, argv => [argv('port-forward', 'web', '0:8080', '0:81')]);
    my ($open, $closed) = @{wait_for('its ports', sub {
        my @ports = (slurp($log) // '') =~ /^Forwarding from 127\.0\.0\.1:(\d+)/mg;
        return @ports == 2 && \@ports;
    })};
    like http($open), qr/hello from the pod/, 'a request through a forwarded port';
    my @sockets = map { IO::Socket::INET->new(PeerAddr => "127.0.0.1:$open") } 1 .. 100;
    print {$_} "GET / HTTP/1.0\r\n\r\n" for @sockets;
    is scalar(grep { do { local $/; readline $_ } =~ /hello from the pod/ } @sockets), 100, 'a hundred at once';
    http($closed);
    wait_for('the refusal to be told', sub { slurp($log) =~ /81.*refused/i });
    pass 'a port where nobody listens is told';
    kill INT => $pid;
    wait_for('it to end', sub { waitpid($pid, POSIX::WNOHANG) == $pid });
});

$c->remove_pod($pod);
$c->stop;
done_testing;
