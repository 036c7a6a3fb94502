"""Spectrograms of tracks."""

from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from datasets.access import HtmxHttpRequest, panel_base, reader_required
from datasets.models import Track
from mer import plots, selectors
from mer.methods.params import SpectrogramParams
from mer.models import Spectrogram


@require_safe
@reader_required
def track_panel(request: HtmxHttpRequest, pk: int) -> HttpResponse:
    """The spectrograms of a track, for its page."""
    track = get_object_or_404(Track, pk=pk)
    ctx = {
        "track": track,
        "spectrograms": selectors.spectrograms_of(track),
        "params": SpectrogramParams(),
        "axes": plots.spectrogram_axes(SpectrogramParams()),
        "base": panel_base(request),
    }
    return render(request, "mer/track_panel.html", ctx)


@require_safe
@reader_required
def spectrogram_image(request: HttpRequest, pk: int) -> HttpResponseBase:
    spectrogram = get_object_or_404(Spectrogram, pk=pk)
    if not spectrogram.image:
        raise Http404(spectrogram.reason)
    return FileResponse(spectrogram.image.open("rb"), content_type="image/png")


NO_PICTURE = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'


@require_safe
@reader_required
def track_spectrogram(request: HttpRequest, pk: int) -> HttpResponseBase:
    """The picture of a track in the default recipe, for lists; an empty one while there is none."""
    picture = selectors.spectrograms_of(get_object_or_404(Track, pk=pk)).exclude(image="").first()
    if picture is None:
        return HttpResponse(NO_PICTURE, content_type="image/svg+xml", headers={"Cache-Control": "no-store"})
    response = FileResponse(picture.image.open("rb"), content_type="image/png")
    response["Cache-Control"] = "private, max-age=3600"
    return response
