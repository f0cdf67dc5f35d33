# The client's half of SPDY/3.1, bytes to frames and back, for the tests: it owes the daemon's own code nothing, and can say
# what no honest client says. Source: SPDY Protocol, Draft 3.1.
package Cricket::Spdy;
use v5.32;
use warnings;
use Compress::Raw::Zlib;
use Exporter 'import';
our @EXPORT_OK = qw(control data_frame rst_frame ping_frame goaway_frame window_frame settings_frame);

use constant {SYN_STREAM => 1, SYN_REPLY => 2, RST_STREAM => 3, SETTINGS => 4, PING => 6, GOAWAY => 7, HEADERS => 8, WINDOW_UPDATE => 9};
use constant FIN => 1;

# Each word with its length before it, then the rest as it is.
my $DICTIONARY = join('', map { pack 'N/a*', $_ } (
    qw(options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow
       authorization cache-control connection content-base content-encoding content-language content-length content-location
       content-md5 content-range content-type date etag expect expires from host if-match if-modified-since if-none-match
       if-range if-unmodified-since last-modified location max-forwards pragma proxy-authenticate proxy-authorization range
       referer retry-after server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate method get
       status), '200 OK', qw(version HTTP/1.1 url public set-cookie keep-alive origin)))
  . '100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative Information'
  . '204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error'
  . '501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, '
  . 'Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,'
  . 'text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.';

sub new {
    my ($class) = @_;
    my ($deflate) = Compress::Raw::Zlib::Deflate->new(-Dictionary => $DICTIONARY, -AppendOutput => 1);
    my ($inflate) = Compress::Raw::Zlib::Inflate->new(-Dictionary => $DICTIONARY, -AppendOutput => 1, -ConsumeInput => 1);
    return bless {deflate => $deflate, inflate => $inflate, in => ''}, $class;
}

# ---- frames out ----------------------------------------------------------------------------------------------------------

sub control {
    my ($type, $flags, $body) = @_;
    return pack('nnN', 0x8003, $type, $flags << 24 | length $body) . $body;
}

sub data_frame     { my ($id, $bytes, $fin) = @_; return pack('NN', $id, ($fin ? FIN << 24 : 0) | length $bytes) . $bytes }
sub rst_frame      { return control(RST_STREAM,    0, pack 'NN', @_) }
sub ping_frame     { return control(PING,          0, pack 'N',  @_) }
sub goaway_frame   { return control(GOAWAY,        0, pack 'NN', @_) }
sub window_frame   { return control(WINDOW_UPDATE, 0, pack 'NN', @_) }
sub settings_frame { return control(SETTINGS,      0, pack 'N',  0) }

# Any bytes as the next part of the connection's one deflated stream.
sub deflate {
    my ($self, $bytes) = @_;
    my $out = '';
    $self->{deflate}->deflate($bytes, $out);
    $self->{deflate}->flush($out, Z_SYNC_FLUSH);
    return $out;
}

sub block {
    my ($self, %headers) = @_;
    return $self->deflate(pack('N', scalar keys %headers) . join '', map { pack 'N/a* N/a*', $_, $headers{$_} } sort keys %headers);
}

sub syn_frame {
    my ($self, $id, $fin, %headers) = @_;
    return control(SYN_STREAM, $fin ? FIN : 0, pack('NNn', $id, 0, 0) . $self->block(%headers));
}

# ---- frames in -----------------------------------------------------------------------------------------------------------

# The whole frames that are there by now, as {type, id, fin, ...}; data frames have type 0 and bytes.
sub feed {
    my ($self, $bytes) = @_;
    my @frames;
    $self->{in} .= $bytes;
    while (length $self->{in} >= 8) {
        my ($first, $second) = unpack 'NN', $self->{in};
        my $length = $second & 0xffffff;
        last if length $self->{in} < 8 + $length;
        my $frame = substr $self->{in}, 0, 8 + $length, '';
        push @frames, $self->frame($first, $second >> 24, substr $frame, 8);
    }
    return @frames;
}

sub frame {
    my ($self, $first, $flags, $body) = @_;
    my %f = (fin => $flags & FIN, type => $first >> 31 ? $first & 0xffff : 0);
    return {%f, id => $first, bytes => $body} if !$f{type};
    @f{qw(id value)} = unpack 'NN', $body . "\0" x 8;
    $f{headers} = $self->headers(substr $body, $f{type} == SYN_STREAM ? 10 : 4) if grep { $f{type} == $_ } SYN_STREAM, SYN_REPLY, HEADERS;
    return \%f;
}

sub headers {
    my ($self, $block) = @_;
    my $text = '';
    $self->{inflate}->inflate($block, $text);
    my @rest = unpack "x4 (N/a)*", $text;
    return {@rest};
}

1;
