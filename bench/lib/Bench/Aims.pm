# What the figures are to reach: a ratio to containerd in the same run, an absolute limit, or a multiple of floors.
package Bench::Aims;
use v5.32;
use warnings;
use List::Util qw(sum);

# [metric, ratio, limit, [times, floors that are added]]; a ratio may depend on the OCI runtime. Without times a floor is only named
# where the rest is not reached.
my @AIMS = (
    [qr/^daemon at rest, PSS$/,                       1 / 5,  8192],
    [qr/^daemon at rest, anonymous$/,                 undef,  3072],
    [qr/^PSS of one more pod beside its container/,   1 / 60, 64],
    [qr/^RunPodSandbox, host network$/,               1 / 10],
    [qr/^RunPodSandbox, bridge$/,                     1 / 3, undef, [1.2, 'network namespace, made and pinned', 'CNI ADD']],
    [qr/^StopPodSandbox, bridge$/,                    3 / 4, undef, [1.2, 'CNI DEL']],
    [qr/^CreateContainer \+ StartContainer$/,         1 / 2, undef, [1.3, 'OCI create + start']],
    [qr/^StopContainer \+ RemoveContainer$/,          1 / 2],
    [qr/^ExecSync$/,                                  {crun => 1 / 3, runc => 1 / 10}],
    [qr/^CPU of one ExecSync/,                        1 / 3],
    [qr/^ListContainerStats, 100 pods$/,              1 / 20],
    [qr/^Version$/,                                   1 / 2],
    [qr/^ListContainers, 250 pods$/,                  1 / 2],
    [qr/^\d+ pods started, (one after another|side by side)$/, 1 / 2],
    [qr/^pull \w+, time$/,                            1 / 2],
    [qr/^pull \w+, CPU$/,                             3 / 4],
    (map { [qr/^pull $_, written$/, 1 / 2, undef, [undef, "unpacked by tar: $_, written"]],
           [qr/^pull $_, disk used after$/, 0.6, undef, [undef, "unpacked by tar: $_, disk used after"]] } qw(large many small)),
    [qr/^pull \w+, growth of the daemon's memory$/,   undef, 4096],
    [qr/^Version during pull, p99$/,                  undef, 2],
    [qr/^start to first Version$/,                    undef, 20],
    [qr/^start to first Version, \d+ pods$/,          undef, 150],
    [qr/^growth of daemon's anonymous memory, percent/, undef, 10],
    [qr/^growth of (descriptors|files|rows)/,         undef, 0],
);

sub aim {
    my ($metric, $oci) = @_;
    for (@AIMS) {
        my ($pattern, $ratio, @rest) = @$_;
        return (ref $ratio ? $ratio->{$oci} : $ratio, @rest) if $metric =~ $pattern;
    }
    return;
}

sub text {
    my ($metric, $oci) = @_;
    my ($ratio, $limit, $floor) = aim($metric, $oci);
    my @parts;
    push @parts, $ratio >= 0.6 ? sprintf('ratio %.2f', $ratio) : sprintf('ratio 1/%.0f', 1 / $ratio) if defined $ratio;
    push @parts, "at most $limit" if defined $limit;
    push @parts, "$floor->[0] x floor" if $floor && defined $floor->[0];
    return join ', ', @parts;
}

# "yes", "no: ..." or '' where nothing is aimed at; $floor->(NAME) gives a floor's median.
sub verdict {
    my ($metric, $oci, $value, $ratio, $floor) = @_;
    my ($aim, $limit, $floors) = aim($metric, $oci);
    return '' if !defined $aim && !defined $limit && !$floors;
    return 'no' if !defined $value;
    my @bad;
    push @bad, sprintf 'ratio %.2f', $ratio if defined $aim && defined $ratio && $ratio > $aim;
    push @bad, "above $limit" if defined $limit && $value > $limit;
    if ($floors) {
        my ($times, @names) = @$floors;
        my @values = map { $floor->($_) // () } @names;
        my $times_now = @values == @names && sum(@values) > 0 ? $value / sum(@values) : undef;
        push @bad, sprintf '%.2f x floor', $times_now if defined $times_now && (defined $times ? $times_now > $times : @bad);
    }
    return @bad ? 'no: ' . join(', ', @bad) : 'yes';
}

1;
