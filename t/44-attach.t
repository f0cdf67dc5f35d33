# Attach: what a container prints from now on, and what is typed to it, for one client and for several, across a restart of the daemon.
use FindBin;
use lib "$FindBin::Bin/lib";
use Cricket;
use Cricket::Stream;
use Time::HiRes 'time';

my ($TRUE, $FALSE) = (JSON::PP::true(), JSON::PP::false());
my $c = Cricket->new(registry => 1);
$c->start;
$c->pull;
my $pod_config = $c->pod_config(name => 'main');
my $pod = $c->run_pod($pod_config);

# A container that runs the script. Options: stdin, stdin_once, tty.
sub container { my ($script, %o) = @_; return $c->run_container($pod, $pod_config, $c->container_config($script, %o)) }
sub remove    { $c->call('RemoveContainer', {container_id => $_[0]}); unlink glob "$pod_config->{log_directory}/*" }
sub attach    { return Cricket::Stream->attach($c, @_) }
sub running   { return $c->container_status($_[0])->{state} eq 'CONTAINER_RUNNING' }

# A container whose shell does what it is told, and the first client of it.
my $SHELL = 'while read line; do eval "$line"; done; echo end of stdin; sleep 100000';

# A client that has got something, so that it is attached: a shell with stdin is asked for a word until it comes.
my $words = 0;
sub attached {
    my ($id, %o) = @_;
    my $s = attach($id, %o, stdin => 1);
    my $word = 'word' . ++$words;
    $s->write(stdin => "echo $word\n")->see(stdout => qr/^\Q$word\E\r?$/m);
    return $s;
}

{
    my $id = container('sleep 100000');
    attach($id)->close;    # the first connection opens /dev/null in the daemon, once
    remove($id);
}

for my $transport (qw(spdy websocket)) {
    my @how = (transport => $transport);
    # ---- output ------------------------------------------------------------------------------------------------------------
    $c->leaks_nothing("several clients, $transport", sub {
        my $id = container($SHELL, stdin => $TRUE);
        my $first = attached($id, @how);
        $first->write(stdin => "echo before\n")->see(stdout => qr/before/);
        my @s = ($first, map { attached($id, @how) } 1 .. 4);
        $first->write(stdin => "echo both; echo oops >&2\n");
        $_->see(stdout => qr/both\n/)->see(stderr => qr/oops\n/) for @s;
        unlike $s[1]{got}{stdout}, qr/before/, "$transport: nothing is replayed";
        is $s[1]{seen}{stderr}, 5, '... stdout and stderr apart';
        my $out = attach($id, @how, stderr => 0);
        my $err = attach($id, @how, stdout => 0);
        $s[1]->close;
        $s[2]->abort;
        $first->until('both to be attached', sub {
            $first->write(stdin => "echo more; echo worse >&2\n");
            Cricket::Stream::pump(0.05);
            return $out->{got}{stdout} =~ /more/ && $err->{got}{stderr} =~ /worse/;
        });
        is $out->{seen}{stderr} // 0, 0, '... a client of stdout alone';
        is $err->{seen}{stdout} // 0, 0, '... and one of stderr';
        $first->write(stdin => "echo last; exit 5\n");
        is_deeply [map { $_->exit_code } $first, @s[3, 4], $out, $err], [(0) x 5], '... the end of the container ends the sessions';
        like $s[4]{got}{stdout}, qr/last\n$/, '... with its last words';
        is $c->wait_exited($id)->{exit_code}, 5, '... and clients that left did not disturb it';
        remove($id);
    });

    # ---- stdin ---------------------------------------------------------------------------------------------------------------
    my @closing = (@how, protocols => ['v5.channel.k8s.io']);
    $c->leaks_nothing("stdin once, $transport", sub {
        my $id = container('cat; echo end; until [ -e /tmp/go ]; do sleep 0.01; done; exit 3', stdin => $TRUE, stdin_once => $TRUE);
        my $s = attach($id, @closing, stdin => 1);
        $s->write(stdin => "typed\n")->see(stdout => qr/typed/);
        $s->finish('stdin')->see(stdout => qr/end\n/);
        ok !$s->{gone}, "$transport, stdin_once: the container's stdin ends, the session does not";
        spew($c->inside($id, '/tmp/go'), '');
        is $s->exit_code, 0, '... before the container';
        is $c->wait_exited($id)->{exit_code}, 3, '... which goes on';
        remove($id);
    });
    $c->leaks_nothing("stdin more than once, $transport", sub {
        my $id = container($SHELL, stdin => $TRUE);
        for my $n (1 .. 3) {
            my $s = attached($id, @closing);
            is $s->finish('stdin')->exit_code, 0, "$transport: the end of stdin ends the session";
            unlike $s->{got}{stdout}, qr/end of stdin/, '... and not the stdin of the container';
        }
        ok running($id), '... which goes on';
        remove($id);
    });
    $c->leaks_nothing("much stdin, $transport", sub {
        my $id = container('head -c 20000000 | sha1sum; sleep 100000', stdin => $TRUE);
        my $block = join '', map { chr int rand 256 } 1 .. 40_000;
        my $s = attach($id, @how, stdin => 1);
        my $sha = Digest::SHA->new(1);
        for (1 .. 500) {
            $sha->add(my $bytes = pack('N', $_) . substr $block, 4);
            $s->write(stdin => $bytes);
        }
        is substr($s->see(stdout => qr/\n/) && $s->{got}{stdout}, 0, 40), $sha->hexdigest, "$transport: twenty megabytes of stdin in order";
        remove($id);
    });
    $c->leaks_nothing("no stdin, $transport", sub {
        my $id = container('until read x; do sleep 0.01; [ -e /tmp/go ] && echo saw $x && exit; done; echo got it', stdin => $FALSE);
        my $s = attach($id, @how, stdin => 1);
        $s->write(stdin => "nobody reads this\n");
        spew($c->inside($id, '/tmp/go'), '');
        is $s->exit_code, 0, "$transport: a container without stdin";
        unlike $s->{got}{stdout}, qr/nobody|got it/, '... gets none';
        remove($id);
    });

    # ---- terminals -----------------------------------------------------------------------------------------------------------
    $c->leaks_nothing("a terminal, $transport", sub {
        my $id = container($SHELL, stdin => $TRUE, tty => $TRUE);
        my $s = attached($id, @how, tty => 1);
        my $t = attached($id, @how, tty => 1);
        $s->resize(100, 40)->write(stdin => qq(until [ "\$(stty size)" = "40 100" ]; do :; done; echo \$((1000+1))\n));
        $_->see(stdout => qr/^1001\r\n/m) for $s, $t;
        $t->resize(80, 24)->write(stdin => qq(until [ "\$(stty size)" = "24 80" ]; do :; done; echo \$((1000+2))\n));
        $_->see(stdout => qr/^1002\r\n/m) for $s, $t;
        pass "$transport: a terminal with two clients, each of which may set its size";
        is $s->finish('stdin')->exit_code, 0, '... the end of its stdin ends a session' if $transport eq 'spdy';
        $t->write(stdin => "echo \$((1000+3)); exit 4\n")->see(stdout => qr/^1003\r\n/m);
        is $t->exit_code, 0, '... and the container the rest';
        is $c->wait_exited($id)->{exit_code}, 4, '... which has its own code';
        remove($id);
    });

    # ---- the daemon goes and comes -------------------------------------------------------------------------------------------
    for my $tty (0, 1) {
        $c->leaks_nothing("a crash, $transport, tty $tty", sub {
            my $id = container($SHELL, stdin => $TRUE, tty => $tty ? $TRUE : $FALSE);
            my $s = attached($id, @how, tty => $tty);
            $c->crash;
            like $s->wait_gone->{gone}, qr/^(closed|Connection reset)/, "$transport, tty $tty: a crash of the daemon ends a session";
            $c->start;
            $s = attached($id, @how, tty => $tty);
            pass '... the next daemon attaches again, with stdin and output';
            kill TERM => $c->{daemon_pid};
            like $s->exit_code, qr/^Internal error occurred: error attaching to container: cricket is shutting down/, '... one that stops says so';
            $c->ended('it stops well', 0);
            $c->start;
            $s = attached($id, @how, tty => $tty);
            ok running($id), '... and the container does not mind';
            remove($id);
            is $s->exit_code, 0, '... until it is removed';
            attach(my $warm = container('sleep 100000'))->close;
            remove($warm);
        });
    }
}

# ---- slow clients ------------------------------------------------------------------------------------------------------------
# How far the writer has come: it counts blocks of 64 KiB.
my $WRITER = 'exec 3>&1; n=0; while head -c 65536 /dev/zero >&3; do n=$((n+1)); echo $n > /tmp/written; done';
sub written { my ($id) = @_; return wait_for('the count', sub { (slurp($c->inside($id, '/tmp/written')) // '') =~ /^(\d+)\n/ && $1 }) }

# Waits until the writer has stood still for half a second: how far it came.
sub standstill {
    my ($id) = @_;
    my ($n, $since) = (-1, 0);
    wait_for('the writer to stand still', sub {
        my $now = written($id);
        ($n, $since) = ($now, time) if $now != $n;
        return $n > 0 && time - $since > 0.5;
    });
    return $n;
}

$c->leaks_nothing('a client that reads slowly', sub {
    my $id = container("read go; $WRITER", stdin => $TRUE);
    my $s = attach($id, stdin => 1, rcvbuf => 65536, hash => 1);
    $s->write(stdin => "go\n")->until('some output', sub { ($s->{seen}{stdout} // 0) > 1 << 20 });
    $s->{reading} = 0;
    my $n = standstill($id);
    cmp_ok $n * 65536 - $s->{seen}{stdout}, '<', 12 << 20, "a client that does not read stops the writer, @{[$n * 65536 - $s->{seen}{stdout} >> 10]} KiB ahead";
    $s->{reading} = 1;
    $s->until('all of that', sub { $s->{seen}{stdout} > $n * 65536 });
    $s->until('the writer to go on', sub { written($id) > $n + 10 });
    pass '... which goes on when it reads again';
    remove($id);
});
$c->leaks_nothing('a client that never reads', sub {
    my $id = container("read go; $WRITER", stdin => $TRUE);
    my $good = attach($id, stdin => 1, hash => 1);
    my $bad  = attach($id, rcvbuf => 65536, hash => 1);
    $_->until('the streams', sub { $_->{replied}{stdout} }) for $good, $bad;
    $bad->{reading} = 0;
    $good->write(stdin => "go\n");
    my $n = standstill($id);
    my $began = time;
    # while the writer is held, nothing else is: another container of the pod, and another client's exec
    is +(Cricket::Stream->exec($c, $id, ['echo', 'quick'])->exit_code), 0, 'a client that never reads hurts no other session';
    $good->until('the writer to go on', sub { written($id) > $n + 100 }, 25);
    my $held = time - $began;
    cmp_ok $held, '>', 5,  sprintf 'it is dropped after a while (%.1f s)', $held;
    cmp_ok $held, '<', 14, '... of about ten seconds';
    $bad->{reading} = 1;
    like $bad->exit_code, qr/error attaching to container: the client took nothing for 10 s/, '... and told, should it read at last';
    ok !$good->{gone}, '... the client beside it stays';
    remove($id);
    is $good->exit_code, 0, '... to the end';
});
$c->stop;
done_testing;
