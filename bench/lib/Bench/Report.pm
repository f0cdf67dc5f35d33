# Joins the results of many runs: a table with medians, spread and ratio, the change against the last run, a picture, and the
# generated part of docs/performance.md.
package Bench::Report;
use v5.32;
use warnings;
use Bench::Aims;
use Cricket::Wait;
use JSON::PP;
use List::Util qw(max min sum0);
use POSIX qw(strftime);

my $JSON = JSON::PP->new->utf8->canonical;

# Options: mode, oci, runtimes => [{name, version}]: the first is what the last is compared with.
sub new {
    my ($class, %o) = @_;
    return bless {%o, of => {}, order => [], files => {}, started => time, load => []}, $class;
}

# Takes what one call of cribench wrote; without a file its words are the failure.
sub add {
    my ($self, $who, $file, $scenario, $text) = @_;
    my $result = eval { $JSON->decode(slurp($file) // '') };
    if (!$result) {
        my $last = (grep { /\S/ } split /\n/, $text)[-1] // 'no answer within the time limit';
        $result = {scenarios => {$scenario => {load => 0, series => [{name => $scenario, unit => '', errors => 1, error => $last, samples => []}]}}};
    }
    push @{$self->{files}{$who}}, $file if -s $file;
    for my $name (keys %{$result->{scenarios}}) {
        my $s = $result->{scenarios}{$name};
        push @{$self->{load}}, $s->{load};
        $self->add_series($who, $name, $_) for @{$s->{series}};
    }
}

sub add_series {
    my ($self, $who, $scenario, $series) = @_;
    my $key = "$scenario\0$series->{name}";
    push @{$self->{order}}, $key if !grep { $_ eq $key } @{$self->{order}};
    my $m = $self->{of}{$who}{$key} //= {unit => $series->{unit}, p50 => [], samples => [], errors => 0};
    push @{$m->{p50}},     $series->{p50} if defined $series->{p50};
    push @{$m->{samples}}, @{$series->{samples}};
    $m->{errors} += $series->{errors};
    $m->{error} //= $series->{error};
}

# The number of the daemon after a scenario that may have started another.
sub daemon_pid {
    my ($self, $file) = @_;
    my $result = eval { $JSON->decode(slurp($file) // '') };
    return $result && $result->{daemon} || undef;
}

# Of an even number the mean of the two in the middle: there may be just two runs.
sub median {
    my @values = sort { $a <=> $b } @_ or return;
    return ($values[@values / 2] + $values[$#values / 2]) / 2;
}

sub quantile {
    my ($q, @values) = @_;
    @values = sort { $a <=> $b } @values or return;
    return $values[max(0, POSIX::ceil($q * @values) - 1)];
}

# The median over the runs' medians: one disturbed run does not count. undef without samples.
sub value {
    my ($self, $who, $key) = @_;
    my $m = $self->{of}{$who}{$key} or return;
    return median(@{$m->{p50}});
}

# The same by metric name, whatever the scenario; for floors and aims.
sub value_by_name {
    my ($self, $who, $name) = @_;
    my ($key) = grep { (split /\0/)[1] eq $name } @{$self->{order}};
    return defined $key ? $self->value($who, $key) : undef;
}

sub number {
    my ($v) = @_;
    return '-' if !defined $v;
    my $a = abs $v;
    return sprintf $a >= 100 ? '%.0f' : $a >= 10 ? '%.1f' : $a >= 1 ? '%.2f' : '%.3f', $v;
}

# "4.20 (4.10 - 4.90)": median and the runs' spread; what failed says so.
sub cell {
    my ($self, $who, $key) = @_;
    my $m = $self->{of}{$who}{$key} or return 'not measured';
    my $errors = $m->{errors} ? ($m->{error} // '') =~ /^UNIMPLEMENTED/ ? 'not there yet: UNIMPLEMENTED' : "$m->{errors} failed: " . substr($m->{error} // '', 0, 90) : '';
    my @p50 = @{$m->{p50}};
    return $errors || '-' if !@p50;
    my $text = number(median(@p50));
    $text .= ' (' . number(min @p50) . ' - ' . number(max @p50) . ')' if @p50 > 1;
    return $errors ? "$text; $errors" : $text;
}

sub p99 {
    my ($self, $who, $key) = @_;
    my $m = $self->{of}{$who}{$key} or return '-';
    return @{$m->{samples}} >= 10 ? number(quantile(0.99, @{$m->{samples}})) : '-';
}

sub ratio {
    my ($self, $key) = @_;
    my ($base, $ours) = map { $self->value($_->{name}, $key) } @{$self->{runtimes}}[0, -1];
    return defined $base && defined $ours && $base > 0 && @{$self->{runtimes}} > 1 ? $ours / $base : undef;
}

sub rows {
    my ($self) = @_;
    my @rows;
    for my $key (@{$self->{order}}) {
        my ($scenario, $name) = split /\0/, $key;
        next if $scenario eq 'floor';
        my $unit = (map { $_ ? $_->{unit} : () } map { $self->{of}{$_->{name}}{$key} } @{$self->{runtimes}})[0];
        my $ratio = $self->ratio($key);
        my $ours = $self->{runtimes}[-1]{name};
        push @rows, {scenario => $scenario, cells => [
            $name, $unit, (map { $self->cell($_->{name}, $key), $self->p99($_->{name}, $key) } @{$self->{runtimes}}),
            defined $ratio ? sprintf('%.3f', $ratio) : '-',
            Bench::Aims::text($name, $self->{oci}),
            Bench::Aims::verdict($name, $self->{oci}, $self->value($ours, $key), $ratio, sub { $self->value_by_name('floor', $_[0]) }),
        ]};
    }
    return @rows;
}

sub header {
    my ($self) = @_;
    return ('metric', 'unit', (map { ("$_->{name} p50", 'p99') } @{$self->{runtimes}}), 'ratio', 'aim', 'reached');
}

sub markdown {
    my ($self) = @_;
    my @lines;
    my @header = $self->header;
    my $last = '';
    for my $row ($self->rows) {
        push @lines, '', "### $row->{scenario}", '', '| ' . join(' | ', @header) . ' |', '|' . '---|' x @header if $row->{scenario} ne $last;
        $last = $row->{scenario};
        push @lines, '| ' . join(' | ', map { s/\|/\\|/gr } @{$row->{cells}}) . ' |';
    }
    my @floors = grep { (split /\0/)[0] eq 'floor' } @{$self->{order}};
    push @lines, '', '### floors', '', '| what the parts cost without a runtime | unit | p50 | p99 |', '|---|---|---|---|' if @floors;
    for my $key (@floors) {
        push @lines, sprintf '| %s | %s | %s | %s |', (split /\0/, $key)[1], $self->{of}{floor}{$key}{unit}, $self->cell('floor', $key), $self->p99('floor', $key);
    }
    return join "\n", @lines, '';
}

sub conditions {
    my ($self) = @_;
    my ($os) = (slurp('/etc/os-release') // '') =~ /^PRETTY_NAME="?(.*?)"?$/m;
    my ($kernel) = (slurp('/proc/sys/kernel/osrelease') // '') =~ /(\S+)/;
    my ($kib) = (slurp('/proc/meminfo') // '') =~ /MemTotal:\s+(\d+)/;
    my $cpus = () = (slurp('/proc/cpuinfo') // '') =~ /^processor/mg;
    my ($model) = (slurp('/proc/cpuinfo') // '') =~ /^model name\s*:\s*(.*)$/m;
    my ($oci) = (run($self->{oci}, '--version'))[1] =~ /version:? (\S+)/;
    my @load = sort { $a <=> $b } @{$self->{load}};
    return (
        strftime('%Y-%m-%d', gmtime $self->{started}) . sprintf(', took %d s', time - $self->{started}),
        sprintf('%d processors (%s), %d GiB, Linux %s, %s, cgroup %s', $cpus, $model // 'unknown', $kib / 1048576, $kernel, $os,
                -e '/sys/fs/cgroup/cgroup.controllers' ? 'v2' : 'v1'),
        join(', ', (map { $_->{version} } @{$self->{runtimes}}), "$self->{oci} " . ($oci // '?')),
        @load ? sprintf('load average before each scenario: %.1f to %.1f, median %.1f', $load[0], $load[-1], median(@load)) : (),
    );
}

# Columns side by side, for a terminal.
sub print {
    my ($self) = @_;
    say for '', map { "# $_" } $self->conditions;
    my @table = map { [split /\s*\|\s*/, s/^\|\s*|\s*\|$//gr] } grep { /^\|/ && !/^\|---/ } split /\n/, $self->markdown;
    my (%seen, @width);
    for my $row (@table) {
        $width[$_] = max($width[$_] // 0, min(44, length $row->[$_])) for 0 .. $#$row;
    }
    for my $row (@table) {
        next if $row->[0] eq 'metric' && $seen{metric}++;
        say join('  ', map { sprintf "%-$width[$_]s", $row->[$_] } 0 .. $#$row) =~ s/\s+$//r;
    }
}

# What changed against the run before, by more than a tenth.
sub compare_with_last {
    my ($self, $file) = @_;
    my $ours = $self->{runtimes}[-1]{name};
    my %now = map { my $v = $self->value($ours, $_); defined $v ? ($_ => $v) : () } @{$self->{order}};
    my $last = eval { $JSON->decode(slurp($file) // '') };
    if ($last) {
        my @lines;
        for my $key (grep { defined $now{$_} && $last->{$_} } @{$self->{order}}) {
            my $change = $now{$key} / $last->{$key} - 1;
            push @lines, sprintf '%-60s %10s -> %10s  %+.0f%%', (split /\0/, $key)[1], number($last->{$key}), number($now{$key}), 100 * $change
              if abs $change > 0.1;
        }
        say for '', "# $ours against its last run, what changed by more than 10%:", @lines ? @lines : 'nothing';
    }
    spew($file, $JSON->encode({%{$last // {}}, %now}));
}

sub write_svg {
    my ($self, $cribench, $file) = @_;
    my @files = map { @{$self->{files}{$_->{name}} // []} } @{$self->{runtimes}} or return;
    my ($rc, $text) = run($cribench, 'plot', @files);
    die "cribench plot: $text" if $rc;
    spew($file, $text);
    say "\n# distributions: $file";
}

my ($BEGIN, $END) = ('<!-- begin: written by make bench -->', '<!-- end: written by make bench -->');

# Replaces what is between the two marks; the rest of the file is written by hand.
sub write_document {
    my ($self, $file, $command) = @_;
    my $text = slurp($file) // die "$file: $!\n";
    my $part = join "\n", $BEGIN, '', "`$command`:", '', (map { "- $_" } $self->conditions), $self->markdown, $END;
    $text =~ s/\Q$BEGIN\E.*?\Q$END\E/$part/s or die "$file: the two marks are missing: $BEGIN and $END\n";
    spew($file, $text);
    say "# written: $file";
}

# True when a scenario of ours failed as a whole or a call did, other than by being not there yet.
sub failed {
    my ($self) = @_;
    my $ours = $self->{of}{$self->{runtimes}[-1]{name}};
    return scalar grep { $_->{errors} && ($_->{error} // '') !~ /^UNIMPLEMENTED/ } values %$ours;
}

1;
