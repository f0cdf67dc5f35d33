# Calls CRI through cri.py: call() waits, start()/finish() let many run at once.
package Cricket::Client;
use v5.32;
use warnings;
use IO::Select;
use IPC::Open2;
use JSON::PP;
use MIME::Base64;
use Time::HiRes qw(time);

my $JSON = JSON::PP->new->utf8->canonical;

sub new {
    my ($class, $socket, $modules) = @_;
    my $self = bless {next => 1, answers => {}, text => ''}, $class;
    $self->{pid} = open2(my $out, my $in, '/usr/bin/python3', "$FindBin::Bin/lib/cri.py", $socket, $modules);
    $in->autoflush;
    @$self{qw(in out)} = ($in, $out);
    return $self;
}

sub put {
    my ($self, $o) = @_;
    print { $self->{in} } $JSON->encode($o), "\n";
}

# Starts a call and returns its number. Options: timeout (seconds), wait_for_ready.
sub start {
    my ($self, $method, $request, %options) = @_;
    my $id = $self->{next}++;
    $self->put({id => $id, method => $method, request => $request // {}, timeout => 60, %options});
    return $id;
}

sub start_raw {
    my ($self, $path, $bytes, %options) = @_;
    my $id = $self->{next}++;
    $self->put({id => $id, path => $path, raw => encode_base64($bytes, ''), timeout => 60, %options});
    return $id;
}

sub cancel {
    my ($self, $id) = @_;
    $self->put({cancel => $id});
}

sub read_answers {
    my ($self, $seconds) = @_;
    return if !IO::Select->new($self->{out})->can_read($seconds);
    sysread($self->{out}, $self->{text}, 1 << 20, length $self->{text}) or die "cri.py ended\n";
    while ($self->{text} =~ s/^(.*)\n//) {
        my $o = $JSON->decode($1);
        die "cri.py: $o->{message}\n" if ($o->{code} // '') eq 'TEST';
        $self->{answers}{$o->{id}} = $o;
    }
}

# True if the call has ended.
sub done {
    my ($self, $id) = @_;
    $self->read_answers(0);
    return exists $self->{answers}{$id};
}

# Waits for a call: {reply => ...} or {code => ..., message => ...}.
sub finish {
    my ($self, $id, $limit) = @_;
    my $end = time + ($limit // 90);
    while (!exists $self->{answers}{$id}) {
        $self->read_answers(1);
        die "call $id did not end\n" if time > $end;
    }
    return delete $self->{answers}{$id};
}

# The reply; dies when the call fails.
sub call {
    my ($self, $method, @rest) = @_;
    my $o = $self->finish($self->start($method, @rest));
    die "$method: $o->{code}: $o->{message}\n" if $o->{code};
    return $o->{reply};
}

# The error of a call that must fail: {code, message}.
sub fails {
    my ($self, $method, @rest) = @_;
    my $o = $self->finish($self->start($method, @rest));
    die "$method succeeded and should not\n" if !$o->{code};
    return $o;
}

sub close {
    my ($self) = @_;
    return if !$self->{pid};
    close $self->{in};
    close $self->{out};
    waitpid delete $self->{pid}, 0;
}

1;
