"""What can be said, for those who ask: at least one sentence of each intent, by family."""

from types import MappingProxyType

EXAMPLES: MappingProxyType[str, tuple[str, ...]] = MappingProxyType({
    "Sound": ("increase the volume", "turn the music down", "set the volume to twenty", "mute", "unmute"),
    "Media": ("play some jazz", "pause the music", "next song", "previous song", "repeat this song",
              "shuffle my playlist", "what is playing", "turn on the radio", "turn off the radio",
              "tune to classic radio", "next station", "previous station", "switch to bluetooth"),
    "Battery": ("check battery levels", "how far can we go", "start charging", "stop charging",
                "set the charge limit to ninety percent", "how long will charging take",
                "find the nearest charging station"),
    "Navigation": ("display navigation", "take me to the airport", "navigate home", "when will we arrive",
                   "how is the traffic", "avoid tolls", "find a parking garage", "where am i",
                   "turn left at the next corner", "zoom in", "zoom out", "stop navigation"),
    "Phone": ("call mom", "answer the call", "hang up", "redial", "show my contacts", "read my messages", "text anna"),
    "Climate": ("set the temperature to twenty one degrees", "increase the driver temperature by two degrees",
                "make it warmer", "make it cooler", "what is the temperature outside", "turn on the air conditioning",
                "set the fan to five", "defrost the windshield", "turn on the seat heating",
                "turn on the steering wheel heating"),
    "Car": ("move my seat forward", "open the window", "close all windows", "open the sunroof", "close the sunroof",
            "open the trunk", "close the trunk", "turn on the headlights", "turn on the wipers", "wipers faster",
            "lock the doors", "unlock the doors", "are the doors locked", "fold the mirrors", "check the tire pressure",
            "check the oil level", "show the rear camera"),
    "Driving": ("start the engine", "stop the engine", "turn on lane assist", "set cruise control to ninety",
                "cancel cruise control", "sport mode", "how fast am i going", "show the trip", "reset the trip",
                "show consumption"),
    "Display": ("night mode", "day mode", "make the screen brighter", "use miles", "use fahrenheit", "open settings",
                "go back"),
    "And": ("a bit more", "a bit less", "undo", "repeat that", "cancel", "help", "what time is it", "what day is it",
            "how is the weather", "set a timer for ten minutes", "cancel the timer", "remind me to buy milk"),
})
